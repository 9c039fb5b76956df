/* SPDX-License-Identifier: MIT */
/* l_http_response.c - the Lua face of a response: its head and its body.
 *
 * A head is written whole or not at all: also where one of the script's fields is refused. */
#include "lua/faces.h"

#include "base/errors.h"
#include "lua/l_http.h"

/* Takes the head back, and raises. */
static int refuse(lua_State *L, struct http_exchange *x, const char *why, const char *name)
{
    exchange_drop_head(x);
    return luaL_error(L, why, name);
}

/* Adds the fields of the flat table at idx: name, value, name, value, ... No number among them: nothing here may raise
 * but what refuses. */
static int add_fields(lua_State *L, int idx, struct http_exchange *x)
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
            return refuse(L, x, "header '%s' is the server's to set", name);
        lua_pop(L, 2);
        if (r < 0)
            return r;
    }
}

static int check_status(lua_State *L, int idx)
{
    lua_Number status = lua_tonumber(L, idx);
    if (!(status >= 200 && status <= 999) || status != (int)status)
        luaL_error(L, "a status from 200 to 999 expected, got %s",
                   lua_isstring(L, idx) ? lua_tostring(L, idx) : luaL_typename(L, idx));
    return (int)status;
}

/* Writes a head: all of it, or on any failure, raised ones too, none. */
static int put_head(lua_State *L, struct http_exchange *x, int status, int64_t length, int type, int fields)
{
    size_t n = 0;
    const char *content_type = lua_tolstring(L, type, &n);
    int r = exchange_begin(x, status, length, content_type, n);
    if (r == EXCHANGE_BAD_VALUE)
        return luaL_error(L, "invalid value of header 'Content-Type'");
    if (r == 0 && lua_istable(L, fields))
        r = add_fields(L, fields, x);
    return exchange_end_head(x, r);
}

/* The exchange, where nobody else is in the middle of writing its response; that may have failed. */
static struct http_exchange *writable(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    if (exchange_is_busy(x))
        luaL_error(L, "another task writes this response");
    return x;
}

/* send(serial, status, body, content type | nil, fields | nil) -> true | nil, err, errno */
static int l_send(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    int status = check_status(L, 3);
    const char *body = lua_tolstring(L, 4, &n);
    if (!body)
        return luaL_error(L, "a body of text expected, got %s", luaL_typename(L, 4));
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_UNSENT)
        return luaL_error(L, "the response was sent already");
    struct task *t = exchange_would_wait(x, n) ? face_task(L, face_ctx(L)) : NULL;
    if (t && sched_canceled(t))
        return face_error(L, ERR_CANCELED); /* while none of it has left: there may be another answer */
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
        return luaL_error(L, "the response was sent already");
    exchange_flush_later(x);
    return face_result(L, put_head(L, x, status, length, 5, 6));
}

/* write(serial, data) -> true | nil, err, errno: it has left when this returns, as far as the system takes it */
static int l_write(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    if (!data)
        return luaL_error(L, "text to write expected, got %s", luaL_typename(L, 3));
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_IN_BODY)
        return luaL_error(L, "the response is over, or has not begun");
    struct task *t = face_task(L, face_ctx(L));
    return l_http_wrote(L, t, x, exchange_data(x, t, data, n));
}

/* finish(serial) -> true | nil, err: the body is over; raises where less came than was announced */
static int l_finish(lua_State *L)
{
    struct http_exchange *x = writable(L);
    if (x->failure)
        return l_http_failed(L, x);
    if (exchange_phase(x) != HTTP_IN_BODY)
        return luaL_error(L, "the response is over, or has not begun");
    return exchange_finish(x) == 0 ? face_result(L, 0) : l_http_failed(L, x);
}

/* phase(serial) -> "unsent" | "body" | "sent" */
static int l_phase(lua_State *L)
{
    static const char *const words[] = {[HTTP_UNSENT] = "unsent", [HTTP_IN_BODY] = "body", [HTTP_SENT] = "sent"};
    lua_pushstring(L, words[exchange_phase(l_http_current(L))]);
    return 1;
}

/* sent(serial) -> status, 0 where no response has begun; bytes of its body */
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
    lua_pushstring(L, x->failure == HTTP_TOO_SHORT ? "the body is too short" : errors_text(x->failure));
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

/* abort(serial): the response cannot be completed; the client is to notice */
static int l_abort(lua_State *L)
{
    exchange_abort(l_http_current(L));
    return 0;
}

/* was_late(serial) -> was the request's time up before its handler returned; was a wait of it refused for that, or
 * because the client had left? */
static int l_was_late(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    lua_pushboolean(L, exchange_was_late(x));
    lua_pushboolean(L, exchange_was_curtailed(x));
    return 2;
}

static const luaL_Reg methods[] = {
    {"abort", l_abort},   {"begin", l_begin}, {"failure", l_failure},   {"finish", l_finish},
    {"keep_alive", l_keep_alive}, {"phase", l_phase}, {"send", l_send}, {"sent", l_sent},
    {"was_late", l_was_late}, {"write", l_write}, {NULL, NULL},
};

void l_http_response_open(lua_State *L) { l_http_methods(L, methods); }
