/* SPDX-License-Identifier: MIT */
/* l_http_forward.c - the Lua face of a reverse proxy: heads are forwarded without becoming tables.
 *
 * lua/moonpark/http/proxy.lua handles bodies, pools and errors. */
#include "http/forward_request.h"
#include "http/forward_response.h"
#include "http/forward_check.h"
#include "lua/faces.h"
#include "lua/l_conn.h"
#include "lua/l_http.h"
#include "lua/l_http_client.h"

#include <strings.h>

/* ---- requests ---- */

static struct http_text check_text(lua_State *L, int idx)
{
    struct http_text s;
    s.at = luaL_checklstring(L, idx, &s.length);
    return s;
}

static struct http_text optional(lua_State *L, int idx)
{
    return lua_toboolean(L, idx) ? check_text(L, idx) : (struct http_text){0};
}

/* http_forward_request(x, serial, reader, path, held | nil, max forwards | nil, prefix, host | nil, forwarded,
 *   protocols | false, via | false)
 * -> the head's text, the protocols that it asks for | false, its method; or nil, err, errno. held: the body, which was
 * read before; protocols, via: see struct forward_request */
static int l_forward_request(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *w = l_http_reader(L, 3);
    struct http_text held = optional(L, 5);
    const struct forward_request q = {
        .path = check_text(L, 4), .held = held.at ? (int64_t)held.length : -1,
        .hops = optional(L, 6), .prefix = check_text(L, 7), .host = optional(L, 8),
        .client = (enum forward_client)luaL_checkinteger(L, 9),
        .protocols = optional(L, 10), .via = optional(L, 11),
    };
    if (!forward_request_is_path(q.path)) /* scripts may have set it */
        return luaL_error(L, "http.proxy: req.raw_path is not a path: '%s'", q.path.at);
    int r = forward_request(w, x, &q);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, buf_at(&w->bytes), buf_len(&w->bytes));
    if (buf_len(&w->trailer) > 0)
        lua_pushlstring(L, buf_at(&w->trailer), buf_len(&w->trailer));
    else
        lua_pushboolean(L, 0);
    lua_pushlstring(L, buf_at(&x->bytes) + x->head.method.at, x->head.method.length);
    return 3;
}

/* http_forward_body(x, serial) -> bytes of the body that were read already, is it to be asked for first? */
static int l_forward_body(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    lua_pushnumber(L, (lua_Number)x->body.total);
    lua_pushboolean(L, forward_request_asks(x));
    return 2;
}

/* http_path_climbs(path) -> has it segments that lead up, to anybody who reads it? */
static int l_path_climbs(lua_State *L)
{
    struct http_text path = check_text(L, 1);
    lua_pushboolean(L, forward_check_climbs(path.at, path.length));
    return 1;
}

/* ---- responses ---- */

/* Where the script's own fields are: a flat table, as res.fields is. */
struct own_fields {
    lua_State *L;
    int idx;
};

static bool is_added(struct http_text name)
{
    return (name.length == 4 && strncasecmp(name.at, "vary", 4) == 0) ||
           (name.length == 10 && strncasecmp(name.at, "set-cookie", 10) == 0);
}

/* The fields of CORS say one thing together. */
static bool is_same(struct http_text a, struct http_text b)
{
    static const char cors[] = "access-control-";
    size_t n = sizeof cors - 1;
    bool both = a.length > n && b.length > n && strncasecmp(a.at, cors, n) == 0 && strncasecmp(b.at, cors, n) == 0;
    return both || (a.length == b.length && strncasecmp(a.at, b.at, a.length) == 0);
}

static bool has_own(const void *fields, struct http_text name)
{
    const struct own_fields *own = fields;
    lua_State *L = own->L;
    bool found = false, more = !is_added(name);
    for (int i = 1; more; i += 2) {
        struct http_text each = {0};
        lua_rawgeti(L, own->idx, i);
        if (lua_type(L, -1) == LUA_TSTRING)
            each.at = lua_tolstring(L, -1, &each.length);
        found = each.at && is_same(each, name);
        more = each.at && !found;
        lua_pop(L, 1);
    }
    return found;
}

static int add_own(const void *fields, struct http_exchange *x)
{
    const struct own_fields *own = fields;
    return l_http_add_fields(own->L, own->idx, x);
}

/* http_forward_response(x, serial, reader, connection, fields | nil) -> true: all of the response, false: its head, and
 * the body is to follow by write() | nil, err, errno. fields: the script's own, in place of the target's of those
 * names; Vary and Set-Cookie are added. Raises for one that cannot be sent. */
static int l_forward_response(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    struct conn *c = l_conn_test(L, 4);
    luaL_argcheck(L, c && c->kind == CONN_STREAM, 4, "connection expected");
    if (forward_response_has_begun(x) || !forward_response_is_free(x))
        return luaL_error(L, "response has already been sent");
    struct own_fields fields = {L, 5};
    struct forward_own own = {.has = has_own, .add = add_own, .fields = &fields};
    int r = forward_response(x, reader, c, lua_istable(L, 5) ? &own : NULL);
    if (r < 0)
        return face_error(L, r);
    lua_pushboolean(L, r);
    return 1;
}

/* http_forward_interim(x, serial, reader) -> true | nil, err, errno: a 1xx that was received goes on to the client */
static int l_forward_interim(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    const struct http_reader *reader = l_http_reader(L, 3);
    if (!forward_response_is_free(x))
        return luaL_error(L, "another task is writing this response");
    return face_result(L, forward_response_interim(x, reader));
}

/* http_forward_upgrade(reader, asked, writer) -> the text of a 101 for the client: another protocol follows it
 * | nil, err, errno: it is not one of those that were asked for. writer: another reader, whose memory is used */
static int l_forward_upgrade(lua_State *L)
{
    const struct http_reader *r = l_http_reader(L, 1);
    struct http_reader *w = l_http_reader(L, 3);
    int e = forward_response_switch(w, r, check_text(L, 2));
    if (e < 0)
        return face_error(L, e);
    lua_pushlstring(L, buf_at(&w->bytes), buf_len(&w->bytes));
    return 1;
}

/* http_forward_cut(x, serial) -> was a response under way? Nothing more of it is sent, and the client sees that. */
static int l_forward_cut(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    bool current = x->conn && (lua_Number)x->serial == lua_tonumber(L, 2);
    lua_pushboolean(L, current && forward_response_cut(x));
    return 1;
}

static const luaL_Reg functions[] = {
    {"http_forward_body", l_forward_body},         {"http_forward_cut", l_forward_cut},
    {"http_forward_interim", l_forward_interim},   {"http_forward_request", l_forward_request},
    {"http_forward_response", l_forward_response}, {"http_forward_upgrade", l_forward_upgrade},
    {"http_path_climbs", l_path_climbs},           {NULL, NULL},
};

void l_http_forward_open(lua_State *L) { face_functions(L, functions); }
