/* SPDX-License-Identifier: MIT */
/* l_http_file.c - files as bodies of responses: opening them, and sending them on an exchange.
 *
 * A file is one userdata, open until it is closed. Every sendfile of the file uses it, and it stays among the arguments
 * while one waits. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys_file.h"
#include "http/http_etag.h"
#include "lua/l_conn.h"
#include "lua/l_http.h"
#include "net/conn_move.h"
#include "net/send_file.h"
#include "net/send_file_opening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char file_mark = 0;

static struct conn_file *file(lua_State *L, int idx)
{
    struct conn_file *f = face_self(L, idx, &file_mark, sizeof *f, "HTTP file");
    luaL_argcheck(L, f->fd >= 0, idx, "file is closed");
    return f;
}

static int l_gc(lua_State *L)
{
    struct conn_file *f = face_test(L, 1, &file_mark, sizeof *f);
    if (f)
        conn_file_close(f);
    return 0;
}

/* The path at idx; raises where bytes stand behind its end. */
static const char *check_path(lua_State *L, int idx)
{
    size_t n;
    const char *path = luaL_checklstring(L, idx, &n);
    luaL_argcheck(L, strlen(path) == n, idx, "path contains a zero byte");
    return path;
}

/* What is told of an open file, or folder, behind the object. */
static int push_info(lua_State *L, int fd, bool folder, const struct send_file_info *info)
{
    char etag[HTTP_ETAG_MAX];
    if (folder) {
        lua_pushinteger(L, fd);
        return 1;
    }
    lua_pushnumber(L, (lua_Number)info->size);
    lua_pushnumber(L, (lua_Number)(info->modified / NS_PER_SECOND - (info->modified % NS_PER_SECOND < 0)));
    lua_pushlstring(L, etag, http_etag(info, etag));
    return 3;
}

/* ---- where a thread opens it: the object is the first of the arguments that are kept ---- */

static int push_opened(lua_State *L, struct task *t)
{
    struct conn_file *f = t->wait.object;
    if (!f->job)
        return face_error(L, t->wait.result); /* canceled */
    struct opening *o = container_of(f->job, struct opening, job);
    if (o->fd < 0) {
        int r = o->fd;
        pool_release(f->loop->pool, f->job);
        return face_error(L, r);
    }
    lua_pushvalue(t->op.stack, t->op.base);
    if (t->op.stack != L)
        lua_xmove(t->op.stack, L, 1);
    int n = push_info(L, o->fd, o->folder, &o->info);
    f->fd = send_file_opening_take(o);
    pool_release(f->loop->pool, f->job);
    return n + 1;
}

static void leave(struct task *t)
{
    struct conn_file *f = t->wait.object;
    if (f->job && f->job->under_way)
        pool_release(f->loop->pool, f->job);
}

static void describe(const struct task *t, char *text, size_t n)
{
    const struct conn_file *f = t->wait.object;
    if (f->job)
        snprintf(text, n, "%s", container_of(f->job, struct opening, job)->path);
}

static const struct wait_kind kind_open = {
    .name = "http.open", .push = push_opened, .undo = leave, .describe = describe};

static void opened(struct job *job) { sched_wake(container_of(job, struct opening, job)->waiter, 0); }

/* Parks t; or 0, where no thread can do it. */
static int hand_over(struct task *t, struct conn_file *f, struct opening *o)
{
    int r = sched_park(t, &kind_open, f, 0, WAIT_OUTSIDE);
    if (r == 0) {
        o->waiter = t;
        o->job.done = opened;
        if (loop_submit(f->loop, &o->job, &f->job) == 0)
            return SCHED_PARKED;
        face_unpark(t);
    }
    o->job.drop(&o->job);
    return r;
}

/* (path[, root]) -> the object, and what push_info tells | nil, err, errno */
static int open_to_send(lua_State *L, bool folder)
{
    const char *path = check_path(L, 1), *root = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);
    struct send_file_info info;
    struct conn_file *f = face_new(L, FACE_META_HTTP_FILE, sizeof *f);
    *f = (struct conn_file){.mark = &file_mark, .fd = -1, .lasting = !folder};
    f->fd = send_file_open_cached(root, path, folder, &info);
    if (f->fd == -EAGAIN) {
        struct ctx *cx = face_ctx(L);
        struct task *t = face_task(L, cx);
        struct opening *o = send_file_opening_new(root, path, folder);
        f->loop = &cx->loop;
        int r = o ? hand_over(t, f, o) : -ENOMEM;
        if (r == SCHED_PARKED) {
            lua_insert(L, 1);
            return face_park(L, t);
        }
        if (r < 0)
            return face_error(L, r);
        f->fd = folder ? send_file_open_folder(root, path) : send_file_open(root, path, &info);
    }
    if (f->fd < 0)
        return face_error(L, f->fd);
    return 1 + push_info(L, f->fd, folder, &info);
}

/* http_file(path[, root]) -> file, size, modified (whole seconds), etag | nil, err, errno */
static int l_file(lua_State *L) { return open_to_send(L, false); }

/* http_folder(path[, root]) -> file, descriptor | nil, err, errno: open until it is closed, for who lists it */
static int l_folder(lua_State *L) { return open_to_send(L, true); }

/* file:close(); harmless twice */
static int l_close(lua_State *L)
{
    conn_file_close(face_self(L, 1, &file_mark, sizeof(struct conn_file), "HTTP file"));
    return 0;
}

/* file:peek(max) -> its first bytes, if reading them takes no waiting | nil, its descriptor. Fewer than max only at its
 * end. */
static int l_peek(lua_State *L)
{
    struct conn_file *f = file(L, 1);
    size_t n = face_size(L, 2, 1, 0), got = 0;
    char *bytes = lua_newuserdata(L, n);
    ssize_t r = 1;
    while (got < n && r > 0) {
        r = sys_pread_cached(f->fd, bytes + got, n - got, (int64_t)got);
        got += r > 0 ? (size_t)r : 0;
    }
    if (r >= 0) {
        lua_pushlstring(L, bytes, got);
        return 1;
    }
    lua_pushnil(L);
    lua_pushinteger(L, f->fd);
    return 2;
}

static int too_long(lua_State *L) { return luaL_error(L, "response body is longer than its Content-Length"); }

/* The exchange, where the next of its body may be written: nobody else is in the middle of that; it may have failed. */
static struct http_exchange *writable(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    if (exchange_is_busy(x))
        luaL_error(L, "another task is writing this response");
    if (!x->failure && exchange_phase(x) != HTTP_IN_BODY)
        luaL_error(L, "response has not begun, or has already finished");
    return x;
}

/* lead(serial, text) -> true | nil, err: bytes of the body that are to leave together with what follows them */
static int l_lead(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    const char *text = luaL_checklstring(L, 3, &n);
    if (x->failure)
        return l_http_failed(L, x);
    int r = exchange_lead(x, text, n);
    return r == HTTP_TOO_LONG ? too_long(L) : face_result(L, r);
}

static int push_filed(lua_State *L, struct task *t) { return face_result(L, exchange_filed(t)); }

/* sendfile(serial, file, offset, length) -> true | nil, err, errno: that much of the file is the next of the body
 * -> false: what was written before must be flushed first, and then this is called again */
static int l_sendfile(lua_State *L)
{
    struct http_exchange *x = writable(L);
    struct conn_file *f = file(L, 3);
    size_t offset = face_size(L, 4, 0, 0), length = face_size(L, 5, 0, 0);
    struct task *t = face_task(L, face_ctx(L));
    luaL_argcheck(L, x->measured, 2, "a response with a known length expected");
    if (x->failure)
        return l_http_failed(L, x);
    int r = exchange_file(x, t, f, offset, length);
    if (r == EXCHANGE_WAITS)
        return l_conn_run(L, t, &x->conn->c, &conn_sendfile, push_filed);
    if (r == HTTP_TOO_LONG)
        return too_long(L);
    if (r != -EAGAIN)
        return face_return(L, t, face_result(L, r));
    lua_pushboolean(L, 0);
    return 1;
}

static const luaL_Reg file_methods[] = {{"__gc", l_gc}, {"close", l_close}, {"peek", l_peek}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"lead", l_lead}, {"sendfile", l_sendfile}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"http_file", l_file}, {"http_folder", l_folder}, {NULL, NULL}};

void l_http_file_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_FILE, "moonpark.http.file", file_methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    face_functions(L, methods);
    lua_pop(L, 1);
    face_functions(L, functions);
}
