/* SPDX-License-Identifier: MIT */
/* l_move.c - check, call, push. The file of a sendfile is a userdata among the arguments that are kept while the task
 * waits; the push closes it, or the collector if no push ever runs. */
#include "lua/l_move.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "net/conn_move.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { SPLICE_COST = 15 }; /* a splice moves as much as so many reads more: others have their turn as soon */

static const char file_mark = 0, hose_mark = 0;

static struct conn *connection(lua_State *L, int idx)
{
    struct conn *c = l_conn_test(L, idx);
    if (c && c->kind == CONN_STREAM)
        return c;
    const char *got = !c ? luaL_typename(L, idx) : c->kind == CONN_LISTENER ? "a listener" : "a packet socket";
    luaL_argerror(L, idx, lua_pushfstring(L, "connection expected, got %s", got));
    return NULL;
}

/* ---- sendfile ---- */

static int l_file_gc(lua_State *L)
{
    struct conn_file *f = face_test(L, 1, &file_mark, sizeof *f);
    if (f)
        conn_file_close(f);
    return 0;
}

static int check_descriptor(lua_State *L, int idx)
{
    lua_Number n = lua_type(L, idx) == LUA_TNUMBER ? lua_tonumber(L, idx) : -1;
    if (!(n >= 0 && n <= INT_MAX && n == (int)n))
        luaL_argerror(L, 2, "descriptor must be a whole number of at least 0");
    return (int)n;
}

/* The descriptor of the file at index 2, or -1 where that is a path; an object's replaces it on the stack.
 * ERR_CLOSED: the object has none (any more). */
static int descriptor(lua_State *L)
{
    int type = lua_type(L, 2);
    if (type == LUA_TNUMBER)
        return check_descriptor(L, 2);
    if (type == LUA_TSTRING)
        return -1;
    if (type == LUA_TTABLE || (type == LUA_TUSERDATA && luaL_getmetafield(L, 2, "__index"))) {
        lua_getfield(L, 2, "fd");
        if (lua_isfunction(L, -1)) {
            lua_pushvalue(L, 2);
            lua_call(L, 1, 1);
            return lua_isnil(L, -1) ? ERR_CLOSED : check_descriptor(L, -1);
        }
    }
    return luaL_argerror(L, 2, lua_pushfstring(L, "path, descriptor or object with fd() expected, got %s",
                                               luaL_typename(L, 2)));
}

/* A path is opened when the write side is ours. A descriptor is copied now: its owner may close it meanwhile. */
static int take_file(lua_State *L, struct conn_file *f, int fd)
{
    size_t n;
    if (fd >= 0) {
        f->fd = sys_dup(fd);
        return f->fd < 0 ? f->fd : 0;
    }
    if (fd == ERR_CLOSED)
        return ERR_CLOSED;
    f->path = lua_tolstring(L, 2, &n);
    return strlen(f->path) == n ? 0 : -EINVAL;
}

static int push_sent(lua_State *L, struct task *t)
{
    conn_file_close(OPERATION(t, struct conn_filing)->file); /* however it ended; harmless twice */
    return l_conn_push_written(L, t);
}

/* sendfile(file[, offset[, length]]) -> bytes | nil, err, errno, bytes sent */
static int l_sendfile(lua_State *L)
{
    struct conn *c = connection(L, 1);
    luaL_checkany(L, 2);
    size_t offset = face_size(L, 3, 0, 0), length = face_size(L, 4, 0, SIZE_MAX);
    struct task *t = face_task(L, face_ctx(L));
    int fd = descriptor(L);
    lua_settop(L, 2);
    struct conn_file *f = face_new(L, FACE_META_SENDFILE, sizeof *f);
    *f = (struct conn_file){.mark = &file_mark, .fd = -1, .offset = offset, .length = length};
    *OPERATION(t, struct conn_filing) = (struct conn_filing){.file = f};
    t->op.length = t->op.total = 0;
    int r = c->closed ? ERR_CLOSED : take_file(L, f, fd);
    return r < 0 ? l_conn_fail(L, t, c, r, push_sent) : l_conn_run(L, t, c, &conn_sendfile, push_sent);
}

/* ---- splice ---- */

static struct conn_hose *hose(lua_State *L, int idx)
{
    struct conn_hose *h = face_self(L, idx, &hose_mark, sizeof *h, "hose");
    luaL_argcheck(L, h->pool, idx, "hose is closed");
    return h;
}

static int l_hose_gc(lua_State *L)
{
    struct conn_hose *h = face_test(L, 1, &hose_mark, sizeof *h);
    if (h)
        conn_hose_fini(h);
    return 0;
}

/* hose() -> a hose, empty */
static int l_hose(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct conn_hose *h = face_new(L, FACE_META_HOSE, sizeof *h);
    conn_hose_init(h, &cx->kpipes);
    h->mark = &hose_mark;
    return 1;
}

/* hose:close(): drops what is in it; harmless twice */
static int l_hose_close(lua_State *L)
{
    conn_hose_fini(face_self(L, 1, &hose_mark, sizeof(struct conn_hose), "hose"));
    return 0;
}

/* splices(value) -> boolean: is it a connection whose bytes can be spliced? */
static int l_splices(lua_State *L)
{
    const struct conn *c = l_conn_test(L, 1);
    lua_pushboolean(L, c && c->kind == CONN_STREAM && conn_splices(c));
    return 1;
}

/* under_way(value) -> bytes that the write or the splice that is going on at a connection has moved so far, else 0 */
static int l_under_way(lua_State *L)
{
    const struct conn *c = l_conn_test(L, 1);
    const struct task *writer = c ? c->side[POLL_W].holder : NULL;
    lua_pushnumber(L, writer ? (lua_Number)writer->op.total : 0);
    return 1;
}

static int push_spliced(lua_State *L, struct task *t)
{
    return t->wait.result < 0 ? face_error(L, t->wait.result) : l_conn_push_written(L, t);
}

/* splice_in(connection, hose, most) -> bytes, 0: read() is next | nil, err, errno */
static int l_splice_in(lua_State *L)
{
    struct conn *c = connection(L, 1);
    struct conn_hose *h = hose(L, 2);
    luaL_argcheck(L, conn_hose_is_empty(h), 2, "hose is not empty");
    struct task *t = face_task(L, face_ctx(L));
    t->budget -= (uint32_t)base_min(t->budget, SPLICE_COST);
    *OPERATION(t, struct conn_splicing) = (struct conn_splicing){.hose = h, .limit = face_size(L, 3, 1, SIZE_MAX)};
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_splice_in, push_spliced);
}

/* splice_out(connection, hose) -> bytes | nil, err, errno, bytes */
static int l_splice_out(lua_State *L)
{
    struct conn *c = connection(L, 1);
    struct conn_hose *h = hose(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    OPERATION(t, struct conn_splicing)->hose = h;
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_splice_out, l_conn_push_written);
}

/* ---- opening ---- */

static const luaL_Reg file_methods[] = {{"__gc", l_file_gc}, {NULL, NULL}};
static const luaL_Reg hose_methods[] = {{"__gc", l_hose_gc}, {"close", l_hose_close}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"sendfile", l_sendfile}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"hose", l_hose}, {"splice_in", l_splice_in}, {"splice_out", l_splice_out}, {"splices", l_splices},
    {"under_way", l_under_way}, {NULL, NULL},
};

void l_move_open(lua_State *L)
{
    face_class(L, FACE_META_SENDFILE, "moonpark.file being sent", file_methods);
    face_class(L, FACE_META_HOSE, "moonpark.hose", hose_methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, methods);
    lua_pop(L, 1);
    face_functions(L, functions);
    lua_pushinteger(L, (lua_Integer)limits.scratch);
    lua_setfield(L, -2, "largest_read");
}
