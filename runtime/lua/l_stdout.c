/* SPDX-License-Identifier: MIT */
/* l_stdout.c - lines for the standard output leave together at the end of the turn, in few system calls.
 *
 * After what the script has printed by then, but past C's stdout, which may cut lines in two, and block: the writer's
 * thread writes them (l_writer.c). */
#include "lua/l_stdout.h"

#include "lua/l_writer.h"

#include <stdio.h>

enum { BATCH = 4096 }; /* bytes */

/* What the script has printed leaves first. */
static void put(struct ctx *cx, const struct iovec *parts, int count)
{
    (void)fflush(stdout);
    l_writer_put(cx, fileno(stdout), parts, count, 0);
}

static void put_first(struct ctx *cx, size_t n)
{
    struct buf *lines = &cx->stdout_lines;
    if (n > 0)
        put(cx, &(struct iovec){(void *)(uintptr_t)buf_at(lines), n}, 1);
    buf_consume(lines, n);
}

static void put_out(struct ctx *cx) { put_first(cx, buf_len(&cx->stdout_lines)); }

static void on_late(struct late *late) { put_out(container_of(late, struct ctx, stdout_late)); }

void l_stdout_close(struct ctx *cx)
{
    put_out(cx);
    buf_fini(&cx->stdout_lines);
}

void l_stdout_added(struct ctx *cx, size_t before)
{
    struct buf *lines = &cx->stdout_lines;
    if (buf_len(lines) > BATCH && before > 0)
        put_first(cx, before);
    if (buf_len(lines) > BATCH)
        put_out(cx);
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
        put_out(cx);
        put(cx, (struct iovec[]){{(void *)(uintptr_t)text, n}, {"\n", 1}}, 2);
        return 0;
    }
    (void)buf_append(lines, text, n);
    (void)buf_append(lines, "\n", 1);
    l_stdout_added(cx, before);
    return 0;
}

/* stdout_flush(): they leave now, and what the writers have, if that does not take too long */
static int l_flush(lua_State *L)
{
    put_out(face_ctx(L));
    l_writer_finish(face_ctx(L));
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
