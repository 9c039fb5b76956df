/* SPDX-License-Identifier: MIT */
/* l_http.c - few calls, each of which does much: a plain request is two of them, take and send.
 *
 * An exchange is a worker's for as long as the worker lives. What a script holds of a request names its serial number
 * with each call: so a handle that is kept too long is told from the next request's. */
#include "lua/l_http.h"

#include "base/errors.h"
#include "http/http_server.h"
#include "http/http_workers.h"
#include "lua/l_conn.h"
#include "net/conn_write.h"
#include "net/socket.h"

#include <errno.h>
#include <stdio.h>

static const char exchange_mark = 0;

struct exchange_face {
    const void *mark;
    struct http_exchange x;
};

struct http_exchange *l_http_exchange(lua_State *L)
{
    struct exchange_face *f = face_self(L, 1, &exchange_mark, sizeof *f, "HTTP exchange");
    return &f->x;
}

struct http_exchange *l_http_current(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    if (!x->conn || (lua_Number)x->serial != lua_tonumber(L, 2))
        luaL_error(L, "this request is over");
    return x;
}

/* ---- results of operations on the server's connections ---- */

/* Some of a body: what is handed out is consumed only then. */
int l_http_push_body(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    if (t->wait.result >= 0) {
        c->pinned = true;
        lua_pushlstring(L, buf_at(&c->in), t->op.length);
        c->pinned = false;
        buf_consume(&c->in, t->op.total);
    }
    exchange_has_read(t);
    return t->wait.result < 0 ? face_error(L, t->wait.result) : 1;
}

static int push_written(lua_State *L, struct task *t) { return face_result(L, exchange_written(t)); }

/* What every handler wants at once: serial, method, path as it was sent. */
static int push_request(lua_State *L, const struct http_exchange *x)
{
    const struct http_span *method = &x->head.method, *path = &x->head.path;
    lua_pushnumber(L, (lua_Number)x->serial);
    lua_pushlstring(L, buf_at(&x->bytes) + method->at, method->length);
    if (path->length > 0)
        lua_pushlstring(L, buf_at(&x->bytes) + path->at, path->length);
    else
        lua_pushliteral(L, "/");
    return 3;
}

static int push_taken(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    return push_request(L, t->wait.object);
}

static int push_news(lua_State *L, struct task *t)
{
    static const char *const words[] = {[HTTP_NO_WORKER] = "worker", [HTTP_ACCEPT_FAILED] = "accept",
                                        [HTTP_DRAINED] = "drained"};
    struct http_server *s = t->wait.object;
    int r = t->wait.result;
    if (r < 0)
        return face_error(L, r);
    lua_pushstring(L, words[r]);
    lua_pushnumber(L, (lua_Number)list_length(&s->waiting));
    if (r != HTTP_ACCEPT_FAILED)
        return 2;
    lua_pushstring(L, errors_text(s->accept_error));
    lua_pushnumber(L, (lua_Number)s->pause_length / 1e9);
    s->accept_error = 0;
    return 4;
}

const struct http_face l_http_face = {
    .taken = push_taken,
    .news = push_news,
};

/* ---- taking ---- */

int l_http_join(lua_State *L, struct http_server *s)
{
    struct task *t = face_task(L, face_ctx(L));
    struct exchange_face *f = face_new(L, FACE_META_HTTP_EXCHANGE, sizeof *f);
    lua_createtable(L, 1, 0); /* keeps the server */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    if (http_workers_join(s, &f->x, t) < 0)
        return luaL_error(L, "not enough memory");
    f->mark = &exchange_mark;
    return 1;
}

static int l_gc(lua_State *L)
{
    struct exchange_face *f = face_test(L, 1, &exchange_mark, sizeof *f);
    if (f)
        http_workers_drop(&f->x);
    return 0;
}

static int take(lua_State *L, struct task *t, struct http_exchange *x)
{
    int r = http_workers_take(x, t);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.object = x;
    t->wait.result = r;
    return face_return(L, t, push_taken(L, t));
}

static int not_yet(lua_State *L, const char *why)
{
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
}

/* take([settled]) -> serial, method, path: the next request; the one in hand is over
 * -> false, "settle": its response has not ended | false, "rest": some of its body is to be dropped
 * -> false, "flush": its response is to be flushed; each: and then ask again. | nil, err
 * settled: a response that has not ended never will */
static int l_take(lua_State *L)
{
    static const char *const words[] = {[HTTP_LEFT_ANSWER] = "settle", [HTTP_LEFT_REST] = "rest",
                                        [HTTP_LEFT_FLUSH] = "flush"};
    struct http_exchange *x = l_http_exchange(L);
    struct task *t = face_task(L, face_ctx(L));
    enum http_left left = x->conn ? http_workers_end(x, false) : HTTP_LEFT_NOTHING;
    if (left == HTTP_LEFT_ANSWER && lua_toboolean(L, 2))
        left = http_workers_end(x, true);
    if (left != HTTP_LEFT_NOTHING)
        return not_yet(L, words[left]);
    return x->conn ? face_return(L, t, push_request(L, x)) : take(L, t, x);
}

/* ---- for all ---- */

/* What was misuse raises again. */
int l_http_failed(lua_State *L, const struct http_exchange *x)
{
    struct task *t = face_task(L, face_ctx(L));
    if (x->failure == HTTP_TOO_SHORT)
        return luaL_error(L, "the body is shorter than the Content-Length that was sent");
    return face_return(L, t, face_error(L, x->failure)); /* a loop that does not look at this lets others run */
}

int l_http_wrote(lua_State *L, struct task *t, struct http_exchange *x, int r)
{
    if (r == EXCHANGE_WAITS)
        return l_conn_run(L, t, &x->conn->c, &conn_write, push_written);
    if (r == -EBUSY)
        return luaL_error(L, "another task writes this response");
    if (r == HTTP_TOO_LONG)
        return luaL_error(L, "the body is longer than the Content-Length that was sent");
    return face_return(L, t, face_result(L, r));
}

/* flush() -> true | nil, err, errno */
static int l_flush(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    if (!x->conn)
        return face_error(L, ERR_CLOSED);
    if (x->failure)
        return l_http_failed(L, x);
    struct task *t = face_task(L, face_ctx(L));
    return l_http_wrote(L, t, x, exchange_send(x, t));
}

/* describe() -> what it is about, for a person */
static int l_describe(lua_State *L)
{
    const struct http_exchange *x = l_http_exchange(L);
    const struct http_span *method = &x->head.method, *target = &x->head.target;
    char peer[ADDR_TEXT_MAX] = "?", text[ADDR_TEXT_MAX + 300];
    const char *bytes = buf_at(&x->bytes);
    struct addr a;
    if (!x->conn) {
        lua_pushliteral(L, "http worker");
        return 1;
    }
    if (!x->conn->c.closed && socket_peer(x->conn->c.stream.fd, &a) == 0)
        (void)addr_format(&a, peer);
    if (method->length == 0)
        snprintf(text, sizeof text, "answers to %s", peer);
    else
        snprintf(text, sizeof text, "%.*s %.*s from %s", (int)base_min(method->length, 32), bytes + method->at,
                 (int)base_min(target->length, 200), bytes + target->at, peer);
    lua_pushstring(L, text);
    return 1;
}

/* quit(): its worker ends, and the connection with it where it still has one */
static int l_quit(lua_State *L)
{
    http_workers_quit(l_http_exchange(L));
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc}, {"describe", l_describe}, {"flush", l_flush}, {"quit", l_quit}, {"take", l_take}, {NULL, NULL},
};

void l_http_methods(lua_State *L, const luaL_Reg *more)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    face_functions(L, more);
    lua_pop(L, 1);
}

void l_http_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_EXCHANGE, "moonpark.http.exchange", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    lua_setfield(L, -2, "http_exchange_class");
}
