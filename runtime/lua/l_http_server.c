/* SPDX-License-Identifier: MIT */
/* l_http_server.c - the Lua face of HTTP servers: opening, the keeper's news, counts, closing.
 *
 * A server is one userdata. Its connections belong to the C core; its workers keep it alive through their exchanges. */
#include "lua/faces.h"

#include "base/errors.h"
#include "http/http_server.h"
#include "http/http_status.h"
#include "lua/l_conn.h"
#include "lua/l_http.h"

#include <errno.h>

static const char server_mark = 0;

struct server_face {
    const void *mark;
    struct http_server server;
};

static struct http_server *server(lua_State *L)
{
    struct server_face *f = face_self(L, 1, &server_mark, sizeof *f, "HTTP server");
    return &f->server;
}

static lua_Number field(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    lua_Number n = face_number(L, -1);
    lua_pop(L, 1);
    return n;
}

static uint32_t count_field(lua_State *L, int table, const char *name)
{
    lua_Number n = field(L, table, name);
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Bytes; infinity is any number of them. */
static uint64_t length_field(lua_State *L, int table, const char *name)
{
    lua_Number n = field(L, table, name);
    return n >= 9e15 ? (uint64_t)INT64_MAX : n > 0 ? (uint64_t)n : 0;
}

static int64_t time_field(lua_State *L, int table, const char *name)
{
    lua_Number n = field(L, table, name);
    return n <= 0 ? 0 : clock_ns(n);
}

static bool flag_field(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

/* http_server(listener, limits) -> server | nil, err, errno: the listener is the server's from now on */
static int l_server(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct conn *listener = l_conn_test(L, 1);
    luaL_argcheck(L, listener && listener->kind == CONN_LISTENER, 1, "listener expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    struct http_limits most = {
        .head = count_field(L, 2, "head"),
        .connections = count_field(L, 2, "connections"),
        .requests = count_field(L, 2, "requests"),
        .workers = count_field(L, 2, "workers"),
        .body = length_field(L, 2, "body"),
        .opening = time_field(L, 2, "opening"),
        .idle = time_field(L, 2, "idle"),
        .heading = time_field(L, 2, "heading"),
        .moving = time_field(L, 2, "moving"),
        .request = time_field(L, 2, "request"),
        .connect = flag_field(L, 2, "connect"),
    };
    if (listener->closed)
        return face_error(L, ERR_CLOSED);
    struct server_face *f = face_new(L, FACE_META_HTTP_SERVER, sizeof *f);
    f->mark = &server_mark;
    int r = listener->side[POLL_R].holder ? -EBUSY
                                          : http_server_open(&f->server, &cx->loop, listener, &l_http_face, &most);
    if (r == -EBUSY)
        return luaL_error(L, "another task is already accepting on this listener");
    return r < 0 ? face_error(L, r) : 1;
}

/* keep([pause]) -> "worker", how many | "accept", _, err, seconds | "drained" | nil, err: what the keeper has to do
 * next; for `pause` seconds no "worker" */
static int l_keep(lua_State *L)
{
    struct http_server *s = server(L);
    struct task *t = face_task(L, face_ctx(L));
    int64_t pause = face_deadline_in(L, 2, face_ctx(L));
    if (s->keeper)
        return luaL_error(L, "server is already running");
    int r = http_server_keep(s, t, pause > 0 ? pause : 0);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.object = s;
    t->wait.result = r;
    return face_return(L, t, l_http_face.news(L, t));
}

/* drain(patience): "none", "new" or "all", which idle connections may still ask */
static int l_drain(lua_State *L)
{
    static const char *const names[] = {"none", "new", "all", NULL};
    static const enum http_patience values[] = {HTTP_WITH_NONE, HTTP_WITH_NEW, HTTP_WITH_ALL};
    http_server_drain(server(L), values[luaL_checkoption(L, 2, "none", names)]);
    return 0;
}

static int l_close(lua_State *L)
{
    http_server_close(server(L));
    return 0;
}

/* exchange() -> exchange of the task that calls, a worker */
static int l_exchange(lua_State *L) { return l_http_join(L, server(L)); }

/* stats() -> connections, requests served, heads refused, idle workers, requests that wait for one */
static int l_stats(lua_State *L)
{
    struct http_server *s = server(L);
    lua_pushnumber(L, s->count);
    lua_pushnumber(L, (lua_Number)s->served);
    lua_pushnumber(L, (lua_Number)s->refused);
    lua_pushnumber(L, s->idle_workers);
    lua_pushnumber(L, (lua_Number)list_length(&s->waiting));
    return 5;
}

static int l_gc(lua_State *L)
{
    struct server_face *f = face_test(L, 1, &server_mark, sizeof *f);
    if (f)
        http_server_fini(&f->server);
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},           {"close", l_close}, {"drain", l_drain},
    {"exchange", l_exchange}, {"keep", l_keep},   {"stats", l_stats}, {NULL, NULL},
};

/* http_reason(status) -> its phrase, or "" */
static int l_reason(lua_State *L)
{
    lua_pushstring(L, http_status_reason((int)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {{"http_reason", l_reason}, {"http_server", l_server}, {NULL, NULL}};

void l_http_server_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_SERVER, "moonpark.http.server", methods);
    face_functions(L, functions);
}
