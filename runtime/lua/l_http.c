/* SPDX-License-Identifier: MIT */
/* l_http.c - few calls that do much each: a plain request takes two, take and send.
 *
 * An exchange belongs to its worker for as long as that lives. A script's request and response pass their serial number
 * with each call, so one that is kept too long is not mistaken for the next request's.
 *
 * The head of a response is written whole or not at all, even if one of the script's fields is refused. */
#include "lua/l_http.h"

#include "base/errors.h"
#include "http/http_server.h"
#include "http/http_workers.h"
#include "lua/l_conn.h"
#include "lua/l_task.h"
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
        luaL_error(L, "request has already finished");
    return x;
}

/* ---- results of operations on the server's connections ---- */

/* Pushes some of a body, then consumes it. */
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

/* Pushes what every handler needs at once: serial, method, path as it was sent. */
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
    lua_pushinteger(L, errors_errno(s->accept_error));
    s->accept_error = 0;
    if (s->accept_over)
        return 4;
    lua_pushnumber(L, (lua_Number)s->pause_length / 1e9);
    return 5;
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

/* take([settled]) -> serial, method, path of the next request; the current one is over
 * -> false, "settle": finish its response | false, "discard": discard some of its body
 * -> false, "flush": flush its response; after each of these call take again | nil, err
 * settled: an unfinished response never will be finished */
static int l_take(lua_State *L)
{
    static const char *const words[] = {[HTTP_LEFT_ANSWER] = "settle", [HTTP_LEFT_BODY] = "discard",
                                        [HTTP_LEFT_FLUSH] = "flush"};
    struct http_exchange *x = l_http_exchange(L);
    struct task *t = face_task(L, face_ctx(L));
    enum http_left left = x->conn ? http_workers_end(x, false) : HTTP_LEFT_NOTHING;
    if (left == HTTP_LEFT_ANSWER && lua_toboolean(L, 2))
        left = http_workers_end(x, true);
    if (left != HTTP_LEFT_NOTHING)
        return not_yet(L, words[left]);
    l_task_forget_locals(t);
    loop_beat(&face_ctx(L)->loop); /* the next handler is not charged for this one's time */
    return x->conn ? face_return(L, t, push_request(L, x)) : take(L, t, x);
}

/* ---- for all ---- */

/* Raises again if the failure was misuse; otherwise returns it. */
int l_http_failed(lua_State *L, const struct http_exchange *x)
{
    struct task *t = face_task(L, face_ctx(L));
    if (x->failure == HTTP_TOO_SHORT)
        return luaL_error(L, "response body is shorter than its Content-Length");
    return face_return(L, t, face_error(L, x->failure)); /* a loop that does not look at this lets others run */
}

int l_http_wrote(lua_State *L, struct task *t, struct http_exchange *x, int r)
{
    if (r == EXCHANGE_WAITS)
        return l_conn_run(L, t, &x->conn->c, &conn_write, push_written);
    if (r == -EBUSY)
        return luaL_error(L, "another task is writing this response");
    if (r == HTTP_TOO_LONG)
        return luaL_error(L, "response body is longer than its Content-Length");
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

/* ---- the response ---- */

/* Takes the head back, and raises. */
static int refuse(lua_State *L, struct http_exchange *x, const char *why, const char *name)
{
    exchange_drop_head(x);
    return luaL_error(L, why, name);
}

int l_http_add_fields(lua_State *L, int idx, struct http_exchange *x)
{
    for (int i = 1;; i += 2) {
        size_t name_length = 0, n = 0;
        lua_rawgeti(L, idx, i);
        lua_rawgeti(L, idx, i + 1);
        if (lua_isnil(L, -2)) {
            lua_pop(L, 2);
            return 0;
        }
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &name_length) : NULL;
        const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
        int r = !name ? EXCHANGE_BAD_NAME : exchange_field(x, name, name_length, value, n);
        if (r == EXCHANGE_BAD_NAME)
            return refuse(L, x, "invalid header name '%s'", name ? name : luaL_typename(L, -2));
        if (r == EXCHANGE_BAD_VALUE)
            return refuse(L, x, "invalid value of header '%s'", name);
        if (r == EXCHANGE_NOT_YOURS)
            return refuse(L, x, "header '%s' is set by the server", name);
        lua_pop(L, 2);
        if (r < 0)
            return r;
    }
}

static int check_status(lua_State *L, int idx)
{
    lua_Number status = lua_tonumber(L, idx);
    if (!(status >= 200 && status <= 999) || status != (int)status)
        luaL_error(L, "status must be a whole number from 200 to 999, got %s",
                   lua_isstring(L, idx) ? lua_tostring(L, idx) : luaL_typename(L, idx));
    return (int)status;
}

/* Writes a head: all of it, or on any failure, raised ones included, none of it. */
static int put_head(lua_State *L, struct http_exchange *x, int status, int64_t length, int type, int fields)
{
    size_t n = 0;
    const char *content_type = lua_tolstring(L, type, &n);
    if (!content_type && !lua_isnoneornil(L, type))
        return luaL_error(L, "type must be a string, got %s", luaL_typename(L, type));
    int r = exchange_begin(x, status, length, content_type, n, false);
    if (r == EXCHANGE_BAD_VALUE)
        return luaL_error(L, "invalid value of header 'Content-Type'");
    if (r == 0 && lua_istable(L, fields))
        r = l_http_add_fields(L, fields, x);
    return exchange_end_head(x, r);
}

/* The exchange; raises if another task is writing its response. The response may have failed. */
static struct http_exchange *writable(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    if (exchange_is_busy(x))
        luaL_error(L, "another task is writing this response");
    return x;
}

/* A response has one head. */
static int refuse_begun(lua_State *L, const struct http_exchange *x)
{
    if (exchange_phase(x) == HTTP_SENT)
        return luaL_error(L, "response has already been sent");
    return luaL_error(L, "response has already begun: go on with res:write()");
}

/* send(serial, status, body, content type | nil, fields | nil) -> true | nil, err, errno */
static int l_send(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    int status = check_status(L, 3);
    const char *body = lua_tolstring(L, 4, &n);
    if (!body)
        return luaL_error(L, "body must be a string or number, got %s", luaL_typename(L, 4));
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_UNSENT)
        return refuse_begun(L, x);
    struct task *t = exchange_would_wait(x, n) ? face_task(L, face_ctx(L)) : NULL;
    if (t && sched_canceled(t))
        return face_error(L, ERR_CANCELED); /* before any of it is sent: another response may follow */
    int r = put_head(L, x, status, (int64_t)n, 5, 6);
    if (r == 0)
        r = exchange_whole(x, t, body, n);
    if (r < 0)
        return face_error(L, r);
    if (r == EXCHANGE_WAITS)
        return l_http_wrote(L, t, x, r);
    lua_pushboolean(L, 1);
    return 1;
}

/* begin(serial, status, length | nil, content type | nil, fields | nil) -> true | nil, err: a body follows in pieces */
static int l_begin(lua_State *L)
{
    struct http_exchange *x = writable(L);
    int status = check_status(L, 3);
    int64_t length = lua_isnoneornil(L, 4) ? -1 : (int64_t)face_size(L, 4, 0, 0);
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_UNSENT)
        return refuse_begun(L, x);
    exchange_flush_later(x);
    return face_result(L, put_head(L, x, status, length, 5, 6));
}

/* write(serial, data) -> true | nil, err, errno; returns when the system has taken all of it */
static int l_write(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    if (!data)
        return luaL_error(L, "data must be a string or number, got %s", luaL_typename(L, 3));
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_IN_BODY)
        return luaL_error(L, "response has not begun, or has already finished");
    struct task *t = face_task(L, face_ctx(L));
    return l_http_wrote(L, t, x, exchange_data(x, t, data, n));
}

/* finish(serial) -> true | nil, err: ends the body; raises if less came than was announced */
static int l_finish(lua_State *L)
{
    struct http_exchange *x = writable(L);
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_IN_BODY)
        return luaL_error(L, "response has not begun, or has already finished");
    return exchange_finish(x) == 0 ? face_result(L, 0) : l_http_failed(L, x);
}

/* phase(serial) -> "unsent" | "body" | "sent" */
static int l_phase(lua_State *L)
{
    static const char *const words[] = {[HTTP_UNSENT] = "unsent", [HTTP_IN_BODY] = "body", [HTTP_SENT] = "sent"};
    lua_pushstring(L, words[exchange_phase(l_http_current(L))]);
    return 1;
}

/* sent(serial) -> status, 0 if no response has begun; bytes of its body */
static int l_sent(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    lua_pushinteger(L, exchange_status(x));
    lua_pushnumber(L, (lua_Number)exchange_bytes(x));
    return 2;
}

/* failure(serial) -> nil | why the response was cut off, errno */
static int l_failure(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    if (!x->failure)
        return 0;
    lua_pushstring(L, x->failure == HTTP_TOO_SHORT ? "response body is too short" : errors_text(x->failure));
    if (!errors_errno(x->failure))
        return 1;
    lua_pushinteger(L, errors_errno(x->failure));
    return 2;
}

/* keep_alive(serial, false): the connection ends with this response */
static int l_keep_alive(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    x->peer.keep_alive &= lua_toboolean(L, 3);
    lua_pushboolean(L, x->peer.keep_alive);
    return 1;
}

/* abort(serial): gives the response up, so that the client notices */
static int l_abort(lua_State *L)
{
    exchange_abort(l_http_current(L));
    return 0;
}

/* lose(serial): the handler's waits are cancelled, as if the client had left */
static int l_lose(lua_State *L)
{
    exchange_lose(l_http_current(L));
    return 0;
}

/* was_late(serial) -> was the request's time up before its handler returned; was a wait of the handler cancelled for
 * that, or because the client had left? */
static int l_was_late(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    lua_pushboolean(L, exchange_was_late(x));
    lua_pushboolean(L, exchange_was_curtailed(x));
    return 2;
}

/* ---- its worker ---- */

/* describe() -> what the exchange is doing, for reports */
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
    if (!x->conn->c.closed && stream_address(&x->conn->c.stream, STREAM_PEER, &a) == 0)
        (void)addr_format(&a, peer);
    if (method->length == 0)
        snprintf(text, sizeof text, "response to %s", peer);
    else
        snprintf(text, sizeof text, "%.*s %.*s from %s", (int)base_min(method->length, 32), bytes + method->at,
                 (int)base_min(target->length, 200), bytes + target->at, peer);
    lua_pushstring(L, text);
    return 1;
}

/* quit(): the worker ends, and so does the connection, if it has one */
static int l_quit(lua_State *L)
{
    http_workers_quit(l_http_exchange(L));
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},         {"abort", l_abort},           {"begin", l_begin}, {"describe", l_describe},
    {"failure", l_failure}, {"finish", l_finish},         {"flush", l_flush}, {"keep_alive", l_keep_alive},
    {"lose", l_lose},       {"phase", l_phase},           {"quit", l_quit},   {"send", l_send},
    {"sent", l_sent},       {"take", l_take},             {"was_late", l_was_late}, {"write", l_write},
    {NULL, NULL},
};

struct http_text l_http_text(lua_State *L, int idx)
{
    struct http_text text;
    text.at = luaL_checklstring(L, idx, &text.length);
    return text;
}

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
