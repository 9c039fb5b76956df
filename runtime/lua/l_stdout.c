/* SPDX-License-Identifier: MIT */
/* l_stdout.c - lines for the standard output leave together at the end of the turn: one system call for all of them.
 *
 * It is C's stdout, so that they keep their order among what the script prints. */
#include "lua/faces.h"

#include <stdio.h>

enum { WRITE_AT = 65536 };

/* A log that cannot be written is nobody's failure. */
static void write_out(struct buf *lines)
{
    (void)fwrite(buf_at(lines), 1, buf_len(lines), stdout);
    (void)fflush(stdout);
    buf_consume(lines, buf_len(lines));
}

static void on_late(struct late *late) { write_out(&container_of(late, struct ctx, stdout_late)->stdout_lines); }

void l_stdout_close(struct ctx *cx)
{
    write_out(&cx->stdout_lines);
    buf_fini(&cx->stdout_lines);
}

/* stdout_line(text): it leaves, and a line end with it, before the loop blocks */
static int l_line(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct buf *lines = &cx->stdout_lines;
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    if (buf_len(lines) > WRITE_AT || !buf_reserve(lines, n + 1))
        write_out(lines);
    if (!buf_reserve(lines, n + 1)) {
        (void)fwrite(text, 1, n, stdout);
        (void)fputc('\n', stdout);
        return 0;
    }
    (void)buf_append(lines, text, n);
    (void)buf_append(lines, "\n", 1);
    loop_late(&cx->loop, &cx->stdout_late);
    return 0;
}

static const luaL_Reg functions[] = {{"stdout_line", l_line}, {NULL, NULL}};

void l_stdout_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    list_init(&cx->stdout_late.link);
    cx->stdout_late.run = on_late;
    face_functions(L, functions);
}
