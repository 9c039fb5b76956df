/* SPDX-License-Identifier: MIT */
/* l_http_request.c - the Lua face of a request: its head and its body.
 *
 * Strings are made of spans of the head's bytes when they are asked for. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/hard.h"
#include "http/http_body.h"
#include "lua/l_conn.h"
#include "lua/l_http.h"
#include "lua/l_http_head.h"
#include "lua/l_tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void push_span(lua_State *L, const struct http_exchange *x, struct http_span s)
{
    lua_pushlstring(L, buf_at(&x->bytes) + s.at, s.length);
}

/* ---- the body ---- */

/* r: what has come of starting it */
static int read_body(lua_State *L, struct task *t, struct http_exchange *x, const struct conn_op *op, int r)
{
    if (r != EXCHANGE_WAITS)
        return face_return(L, t, face_error(L, r));
    return l_conn_run(L, t, &x->conn->c, op, l_http_push_body);
}

static int read_some(lua_State *L, struct http_exchange *x)
{
    struct task *t = face_task(L, face_ctx(L));
    return read_body(L, t, x, &http_body_some, exchange_read(x, t, face_size(L, 3, 1, limits.scratch)));
}

/* read(serial[, max]) -> 1..max bytes of the body | nil, "eof" | nil, err, errno */
static int l_read(lua_State *L) { return read_some(L, l_http_current(L)); }

/* discard() -> as read, of a request that is over */
static int l_discard(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    return x->conn ? read_some(L, x) : face_error(L, ERR_CLOSED);
}

/* whole(serial, max) -> all of a body framed by its length | nil, err, errno */
static int l_whole(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct task *t = face_task(L, face_ctx(L));
    if (exchange_is_read(x)) {
        lua_pushliteral(L, "");
        return 1;
    }
    luaL_argcheck(L, exchange_is_whole(x), 1, "a body framed by its length expected");
    return read_body(L, t, x, &http_body_whole, exchange_read_whole(x, t, face_size(L, 3, 1, SIZE_MAX)));
}

/* framing(serial) -> "none" | "length" | "chunks", bytes announced, is all of it read */
static int l_framing(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    return l_http_head_push_framing(L, &x->head, &x->body);
}

/* is_read(serial) -> does a task wait for some of the body? */
static int l_is_read(lua_State *L)
{
    lua_pushboolean(L, exchange_is_being_read(l_http_current(L)));
    return 1;
}

/* limit(serial, bytes): how much of the body is taken */
static int l_limit(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    x->limit = face_size(L, 3, 0, 0);
    return 0;
}

/* ---- the head ---- */

static bool same_name(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] | 0x20) : a[i];
        char d = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] | 0x20) : b[i];
        if (c != d)
            return false;
    }
    return true;
}

/* field(serial, name) -> the value, those of repeated fields joined by ", " | nil */
static int l_field(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    size_t n;
    const char *name = luaL_checklstring(L, 3, &n);
    int found = 0;
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (f->name.length != n || !same_name(buf_at(&x->bytes) + f->name.at, name, n))
            continue;
        if (found++)
            lua_pushliteral(L, ", ");
        push_span(L, x, f->value);
        if (found > 1)
            lua_concat(L, 3);
    }
    return found > 0;
}

/* fields(serial) -> {name, value, name, value, ...}: names in lower case */
static int l_fields(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    l_http_head_push(L, buf_at(&x->bytes), &x->head);
    return 1;
}

/* trailers(serial) -> the same of the trailer section, once the body has been read */
static int l_trailers(lua_State *L)
{
    l_http_head_push_trailer(L, &l_http_current(L)->trailer);
    return 1;
}

/* target(serial) -> target, query | nil, authority, minor version, form */
static int l_target(lua_State *L)
{
    static const char *const forms[] = {[HTTP_ORIGIN] = "origin", [HTTP_ABSOLUTE] = "absolute",
                                        [HTTP_AUTHORITY] = "authority", [HTTP_ASTERISK] = "asterisk"};
    struct http_exchange *x = l_http_current(L);
    push_span(L, x, x->head.target);
    if (x->head.has_query)
        push_span(L, x, x->head.query);
    else
        lua_pushnil(L);
    push_span(L, x, x->head.authority);
    lua_pushinteger(L, x->head.minor);
    lua_pushstring(L, forms[x->head.form]);
    return 5;
}

/* peer(serial) -> the client's address */
static int l_peer(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    char text[ADDR_TEXT_MAX];
    int n = http_conn_client(x->conn, text);
    if (n < 0)
        return face_error(L, n);
    lua_pushlstring(L, text, (size_t)n);
    return 1;
}

/* local_address(serial) -> where the client has connected to | nil, err, errno */
static int l_local_address(lua_State *L)
{
    const struct http_conn *hc = l_http_current(L)->conn;
    char text[ADDR_TEXT_MAX];
    struct addr a;
    int r = !hc || hc->c.closed ? ERR_CLOSED : stream_address(&hc->c.stream, STREAM_LOCAL, &a);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, text, addr_format(&a, text));
    return 1;
}

/* tls(serial) -> {version =, cipher =, ...} | nil: it came over a connection without */
static int l_tls(lua_State *L) { return l_tls_push_info(L, &l_http_current(L)->conn->c); }

/* client_certificate(serial) -> in DER | nil */
static int l_client_certificate(lua_State *L) { return l_tls_push_certificate(L, &l_http_current(L)->conn->c); }

/* is_gone(serial) -> has the client left, or is the server being closed? */
static int l_is_gone(lua_State *L)
{
    lua_pushboolean(L, exchange_is_gone(l_http_current(L)));
    return 1;
}

/* hijack(serial) -> connection: the script's from now on, what was received behind the head included
 * -> false: earlier answers must be flushed first, and then this is called again */
static int l_hijack(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    int failure = x->failure, r = exchange_may_hijack(x);
    if (r == EXCHANGE_BEGUN)
        return luaL_error(L, "response has already begun");
    if (failure && r != ERR_CLOSED)
        return l_http_failed(L, x);
    if (r == -EBUSY)
        return luaL_error(L, "another task is using this request's connection");
    if (r == -EAGAIN) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (r < 0)
        return face_error(L, r);
    struct conn *c = l_conn_new(L, face_ctx(L));
    l_conn_made_here(L, face_ctx(L), c);
    exchange_hijack(x, c);
    return 1;
}

static const luaL_Reg methods[] = {
    {"client_certificate", l_client_certificate}, {"discard", l_discard}, {"field", l_field}, {"fields", l_fields},
    {"framing", l_framing}, {"hijack", l_hijack}, {"is_gone", l_is_gone}, {"is_read", l_is_read}, {"limit", l_limit},
    {"local_address", l_local_address}, {"peer", l_peer}, {"read", l_read}, {"target", l_target}, {"tls", l_tls},
    {"trailers", l_trailers}, {"whole", l_whole}, {NULL, NULL},
};

void l_http_request_open(lua_State *L) { l_http_methods(L, methods); }
