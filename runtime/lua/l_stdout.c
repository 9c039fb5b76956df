/* SPDX-License-Identifier: MIT */
/* l_stdout.c - lines for the standard output leave together at the end of the turn, in few system calls.
 *
 * After what the script has printed by then, but past C's stdout, which may cut lines in two. A write has whole lines,
 * and so few that a pipe takes it whole: lines of several processes do not mix. */
#include "lua/l_stdout.h"

#include "lua/faces.h"

#include "base/sys.h"

#include <stdio.h>

enum { BATCH = 4096 }; /* bytes: PIPE_BUF */

/* A log that cannot be written is nobody's failure. */
static void write_all(const char *bytes, size_t n)
{
    (void)fflush(stdout);
    while (n > 0) {
        ssize_t written = sys_write(fileno(stdout), bytes, n);
        if (written <= 0)
            return;
        bytes += written;
        n -= (size_t)written;
    }
}

static void write_out(struct buf *lines)
{
    if (buf_len(lines) > 0)
        write_all(buf_at(lines), buf_len(lines));
    buf_consume(lines, buf_len(lines));
}

static void on_late(struct late *late) { write_out(&container_of(late, struct ctx, stdout_late)->stdout_lines); }

void l_stdout_close(struct ctx *cx)
{
    write_out(&cx->stdout_lines);
    buf_fini(&cx->stdout_lines);
}

void l_stdout_added(struct ctx *cx, size_t before)
{
    struct buf *lines = &cx->stdout_lines;
    if (buf_len(lines) > BATCH && before > 0) {
        write_all(buf_at(lines), before);
        buf_consume(lines, before);
    }
    if (buf_len(lines) > BATCH)
        write_out(lines);
    loop_late(&cx->loop, &cx->stdout_late);
}

/* stdout_line(text): it leaves, and a line end with it, before the loop blocks */
static int l_line(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct buf *lines = &cx->stdout_lines;
    size_t n, before = buf_len(lines);
    const char *text = luaL_checklstring(L, 1, &n);
    if (n >= BATCH || !buf_reserve(lines, n + 1)) {
        write_out(lines);
        write_all(text, n);
        write_all("\n", 1);
        return 0;
    }
    (void)buf_append(lines, text, n);
    (void)buf_append(lines, "\n", 1);
    l_stdout_added(cx, before);
    return 0;
}

/* stdout_flush(): they leave now */
static int l_flush(lua_State *L)
{
    write_out(&face_ctx(L)->stdout_lines);
    return 0;
}

static const luaL_Reg functions[] = {{"stdout_flush", l_flush}, {"stdout_line", l_line}, {NULL, NULL}};

void l_stdout_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    list_init(&cx->stdout_late.link);
    cx->stdout_late.run = on_late;
    face_functions(L, functions);
}
