/* SPDX-License-Identifier: MIT */
/* l_net.c - the Lua face that makes connections.
 *
 * Making connections: listen, dial, pairs. What cannot be undone comes last. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "net/accept.h"
#include "net/pair.h"
#include "net/socket.h"
#include "net/unix_listen.h"

#include <errno.h>

enum { DIAL_TRIES = 3 }; /* the kernel at times finds no free local port though there are some */

/* A stream's address at idx. False: it is none, or its host is a name: split_address tells which, and
 * lua/moonpark/net/addresses.lua what to do then. So the common case, a numeric address, is read once. */
static bool parse(lua_State *L, int idx, struct addr *a)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n);
    return !addr_parse(a, text, n) && !a->dgram;
}

static int not_numeric(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}

/* listen(address, backlog, reuseport, v6only, unlink, mode) -> listener | nil, err, errno
 * | false: no numeric address */
static int l_listen(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a;
    if (!parse(L, 1, &a))
        return not_numeric(L);
    int backlog = (int)base_min(face_size(L, 2, 0, 0), INT32_MAX);
    bool reuseport = lua_toboolean(L, 3);
    struct socket_listen_options inet = {.backlog = backlog, .reuseport = reuseport, .v6only = lua_toboolean(L, 4)};
    struct unix_listen_options local = {.backlog = backlog, .reuseport = reuseport, .unlink = lua_toboolean(L, 5),
                                        .mode = luaL_optint(L, 6, -1)};
    struct conn *c = l_conn_new(L, cx);
    int fd = a.any.sa_family == AF_UNIX ? unix_listen(&a, &local, &c->path) : socket_listen(&a, &inet);
    if (fd < 0)
        return face_error(L, fd);
    conn_open_socket(c, socket_ops(&a), fd);
    c->kind = CONN_LISTENER;
    return 1;
}

static int start_connect(struct conn *c, const struct addr *a, const struct addr *local)
{
    int fd = -EADDRNOTAVAIL;
    for (int i = 0; i < DIAL_TRIES && fd == -EADDRNOTAVAIL; i++)
        fd = socket_connect(a, local);
    if (fd < 0)
        return fd;
    conn_open_socket(c, socket_ops(a), fd);
    return 0;
}

/* dial(address, timeout, local) -> connection | nil, err, errno | false: an address is not numeric */
static int l_dial(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a, local;
    bool bound = !lua_isnoneornil(L, 3);
    int64_t timeout = face_timeout(L, 2);
    if (!parse(L, 1, &a) || (bound && !parse(L, 3, &local)))
        return not_numeric(L);
    if (a.wildcard)
        addr_loopback4(&a);
    if (bound && local.wildcard && a.any.sa_family == AF_INET)
        addr_wildcard4(&local);
    struct task *t = face_task(L, cx);
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (timeout == 0)
        return face_return(L, t, face_error(L, ERR_TIMEOUT));

    struct conn *c = l_conn_new(L, cx);
    lua_replace(L, 1);
    lua_settop(L, 1);
    int r = start_connect(c, &a, bound ? &local : NULL);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    c->timeout = timeout;
    *OPERATION(t, struct conn_connecting) = (struct conn_connecting){.place = 0, .bound = bound};
    return l_conn_run(L, t, c, &conn_connect, l_conn_push_connected);
}

/* made_here(connection): another task has dialled it for the calling one */
static int l_made_here(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c, 1, "connection expected");
    l_conn_made_here(L, face_ctx(L), c);
    return 0;
}

/* pair(capacity) -> connection, connection */
static int l_pair(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    size_t capacity = face_size(L, 1, 1, PAIR_CAPACITY);
    struct conn *a = l_conn_new(L, cx), *b = l_conn_new(L, cx);
    int r = pair_open(&a->stream, &b->stream, capacity);
    if (r < 0)
        return face_error(L, r);
    conn_open(a, &a->stream);
    conn_open(b, &b->stream);
    return 2;
}

/* fragment(connection of a pair, {sizes}): what each read of it gives at the most */
static int l_fragment(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    uint32_t sizes[256];
    luaL_argcheck(L, c && c->stream.ops == &pair_ops && !c->closed, 1, "in-memory connection expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_objlen(L, 2);
    luaL_argcheck(L, n >= 1 && n <= ARRAY_LEN(sizes), 2, "1 to 256 sizes expected");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        sizes[i] = (uint32_t)base_min(face_size(L, -1, 1, 1), UINT32_MAX);
        lua_pop(L, 1);
    }
    return face_result(L, pair_fragment(&c->stream, sizes, n));
}

/* layer(connection or listener, address, accepts) -> true | nil, err, errno: the struct stream_layer at that address
 * lies over the connection's stream from now on, or over each that the listener accepts */
static int l_layer(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c && c->kind != CONN_PACKET, 1, "connection or listener expected");
    const struct stream_layer *layer = (const struct stream_layer *)(uintptr_t)face_number(L, 2);
    luaL_argcheck(L, layer, 2, "no layer");
    if (c->kind == CONN_STREAM)
        return face_result(L, conn_cover(c, layer, lua_toboolean(L, 3)));
    conn_set_layer(c, layer);
    return face_result(L, 0);
}

/* handshake(connection) -> true | nil, err, errno: what its stream does before the first byte is done */
static int l_handshake(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c && c->kind == CONN_STREAM, 1, "connection expected");
    return l_conn_run(L, face_task(L, face_ctx(L)), c, &conn_handshake, l_conn_push_done);
}

/* split_address(text) -> datagram, host, port; host: nil where there is nothing to look up | nil, what is wrong */
static int l_split_address(lua_State *L)
{
    size_t n;
    struct addr_parts p;
    const char *text = luaL_checklstring(L, 1, &n);
    const char *wrong = addr_split(&p, text, n);
    if (wrong) {
        lua_pushnil(L);
        lua_pushstring(L, wrong);
        return 2;
    }
    lua_pushboolean(L, p.dgram);
    if (!p.name)
        return 1;
    lua_pushlstring(L, p.host, p.length);
    lua_pushinteger(L, p.port);
    return 3;
}

/* accept_pause(errno | nil, seconds of the last one | nil) -> seconds | nil: accepting is over; see accept.h */
static int l_accept_pause(lua_State *L)
{
    lua_Number last = face_number_or(L, 2, 0);
    int64_t pause = accept_pause(-(int)luaL_optinteger(L, 1, 0), (int64_t)(last * 1e9));
    if (pause == 0)
        return 0;
    lua_pushnumber(L, (lua_Number)pause / 1e9);
    return 1;
}

static const luaL_Reg functions[] = {
    {"accept_pause", l_accept_pause}, {"dial", l_dial},   {"fragment", l_fragment}, {"handshake", l_handshake},
    {"layer", l_layer},               {"listen", l_listen}, {"made_here", l_made_here}, {"pair", l_pair},
    {"split_address", l_split_address}, {NULL, NULL},
};

void l_net_open(lua_State *L) { face_functions(L, functions); }
