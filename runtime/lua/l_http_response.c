/* SPDX-License-Identifier: MIT */
/* l_http_response.c - the Lua face of a response: its head and its body.
 *
 * A head goes into `out` whole or not at all; short bodies are copied behind it, long ones are
 * written from where they are. */
#include "lua/faces.h"

#include "base/errors.h"
#include "lua/l_http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { INLINE_MAX = 16384 };

/* Takes back what was written of a head, and raises. */
static int refuse(lua_State *L, struct http_exchange *x, size_t before, const char *why, const char *name)
{
    x->out.end = x->out.start + before;
    return luaL_error(L, why, name);
}

/* One of the script's. What frames the message is ours alone; "close" becomes our own word for it. */
static int add_field(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n)
{
    enum http_id id = h1_parse_id(name, name_length);
    if (id == HTTP_CONTENT_LENGTH || id == HTTP_TRANSFER_ENCODING)
        return HTTP_BAD_FIELD;
    if (id == HTTP_CONNECTION && n == 5 && strncasecmp(value, "close", 5) == 0) {
        if (!x->framing.keep_alive)
            return 0; /* said already */
        x->framing.keep_alive = false;
    }
    return h1_add_field(&x->out, name, name_length, value, n);
}

/* Adds the fields of the flat table at idx: name, value, name, value, ... No number among them: nothing here may raise
 * but what refuses; before: the length of `out` then. */
static int add_fields(lua_State *L, int idx, struct http_exchange *x, size_t before)
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
        if (!name || !h1_parse_is_token(name, name_length))
            return refuse(L, x, before, "invalid header name '%s'", name ? name : luaL_typename(L, -2));
        if (!value || !h1_parse_is_value(value, n))
            return refuse(L, x, before, "invalid value of header '%s'", name);
        int r = add_field(x, name, name_length, value, n);
        if (r == HTTP_BAD_FIELD)
            return refuse(L, x, before, "header '%s' is set by the server", name);
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

/* Writes a head into out. On any failure, raised ones too, out is as it was; where there was no memory nothing can
 * follow: whoever does not look at the result would have another answer sent in its place. */
static int put_head(lua_State *L, struct http_exchange *x, int status, int64_t length, int type, int fields)
{
    struct buf *out = &x->out;
    size_t n, before = buf_len(out);
    const char *content_type = lua_tolstring(L, type, &n);
    if (content_type && !h1_parse_is_value(content_type, n))
        return luaL_error(L, "invalid value of header 'Content-Type'");
    if (x->server->closing || !http_body_is_short(x))
        x->peer.keep_alive = false; /* nobody will read what is left of the body */
    int r = h1_begin_response(&x->framing, &x->peer, out, status, length, http_conn_date(x->server));
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail any more */
    if (r == 0 && content_type)
        r = h1_add_field(out, "Content-Type", 12, content_type, n);
    if (r == 0 && lua_istable(L, fields))
        r = add_fields(L, fields, x, before);
    if (r == 0)
        r = h1_end_head(out);
    if (r == 0) {
        x->framing.phase = HTTP_IN_BODY;
        return 0;
    }
    out->end = out->start + before;
    http_exchange_fail(x, r);
    return r;
}

/* The exchange, where nobody else is in the middle of writing its response; that may have failed. */
static struct http_exchange *writable(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    if (x->conn->c.side[POLL_W].holder)
        luaL_error(L, "another task is writing this response");
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
        return luaL_error(L, "body must be a string or number, got %s", luaL_typename(L, 4));
    if (x->failure)
        return l_http_failed(L, x);
    if (x->framing.phase != HTTP_UNSENT)
        return luaL_error(L, "response has already been sent");
    if (n > INLINE_MAX && !x->peer.head && sched_canceled(face_task(L, face_ctx(L))))
        return face_error(L, ERR_CANCELED); /* while none of it has left: there may be another answer */
    int r = put_head(L, x, status, (int64_t)n, 5, 6);
    if (r < 0)
        return face_error(L, r);
    bool muted = x->framing.mute;
    x->framing.phase = HTTP_SENT;
    x->framing.left = 0;
    x->framing.total = muted ? 0 : n;
    if (!muted && n > INLINE_MAX)
        return l_http_write_out(L, x, body, n, 0);
    x->inside = muted ? 0 : n;
    if (!muted && buf_append(&x->out, body, n) < 0) {
        x->framing.total = 0;
        http_exchange_fail(x, -ENOMEM);
        return face_error(L, -ENOMEM);
    }
    http_server_flush_later(x);
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
    if (x->framing.phase != HTTP_UNSENT)
        return luaL_error(L, "response has already been sent");
    http_server_flush_later(x);
    return face_result(L, put_head(L, x, status, length, 5, 6));
}

/* write(serial, data) -> true | nil, err, errno: it has left when this returns, as far as the system takes it */
static int l_write(lua_State *L)
{
    struct http_exchange *x = writable(L);
    size_t n;
    bool muted;
    const char *data = lua_tolstring(L, 3, &n);
    if (!data)
        return luaL_error(L, "data must be a string or number, got %s", luaL_typename(L, 3));
    if (x->failure)
        return l_http_failed(L, x);
    if (x->framing.phase != HTTP_IN_BODY)
        return luaL_error(L, "response has not begun, or has already finished");
    uint64_t total = x->framing.total;
    size_t before = buf_len(&x->out);
    int r = h1_before_data(&x->framing, &x->out, n, &muted);
    if (r == HTTP_TOO_LONG)
        return luaL_error(L, "response body is longer than its Content-Length");
    if (r == 0 && !muted && n <= INLINE_MAX)
        r = buf_append(&x->out, data, n);
    if (r == 0 && (n <= INLINE_MAX || muted))
        r = h1_after_data(&x->framing, &x->out, n);
    if (r < 0) {
        x->out.end = x->out.start + before;
        x->framing.total = total;
        http_exchange_fail(x, r);
        return face_error(L, r);
    }
    x->inside = muted || n > INLINE_MAX ? 0 : n;
    if (n <= INLINE_MAX || muted)
        return l_http_write_out(L, x, NULL, 0, 0);
    if (x->framing.framing == HTTP_BY_LENGTH)
        x->framing.left -= n;
    return l_http_write_out(L, x, data, n, x->framing.framing == HTTP_BY_CHUNKS ? 2 : 0);
}

/* finish(serial) -> true | nil, err: the body is over; raises where less came than was announced */
static int l_finish(lua_State *L)
{
    struct http_exchange *x = writable(L);
    if (x->failure)
        return l_http_failed(L, x);
    if (x->framing.phase != HTTP_IN_BODY)
        return luaL_error(L, "response has not begun, or has already finished");
    int r = h1_finish(&x->framing, &x->out);
    http_server_flush_later(x);
    if (r == 0)
        return face_result(L, 0);
    http_exchange_fail(x, r);
    return l_http_failed(L, x);
}

/* phase(serial) -> "unsent" | "body" | "sent" */
static int l_phase(lua_State *L)
{
    static const char *const words[] = {[HTTP_UNSENT] = "unsent", [HTTP_IN_BODY] = "body", [HTTP_SENT] = "sent"};
    lua_pushstring(L, words[l_http_current(L)->framing.phase]);
    return 1;
}

/* sent(serial) -> status, 0 where no response has begun; bytes of its body */
static int l_sent(lua_State *L)
{
    const struct http_out *o = &l_http_current(L)->framing;
    bool begun = o->phase != HTTP_UNSENT;
    lua_pushinteger(L, begun ? o->status : 0);
    lua_pushnumber(L, begun ? (lua_Number)o->total : 0);
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

/* abort(serial): the response cannot be completed; the client is to notice */
static int l_abort(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    http_exchange_fail(x, !x->over && x->scope->canceled ? ERR_CANCELED : ERR_CLOSED);
    return 0;
}

/* was_late(serial) -> was the request's time up before its handler returned; was a wait of it refused for that, or
 * because the client had left? */
static int l_was_late(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    bool canceled = !x->over && x->scope->canceled, all = x->scope->owner->canceled;
    lua_pushboolean(L, x->late_answer || (canceled && !x->gone));
    lua_pushboolean(L, x->curtailed || all || (canceled && x->scope->delivered));
    return 2;
}

static const luaL_Reg methods[] = {
    {"abort", l_abort},   {"begin", l_begin}, {"failure", l_failure},   {"finish", l_finish},
    {"keep_alive", l_keep_alive}, {"phase", l_phase}, {"send", l_send}, {"sent", l_sent},
    {"was_late", l_was_late}, {"write", l_write}, {NULL, NULL},
};

void l_http_response_open(lua_State *L) { l_http_methods(L, methods); }
