/* SPDX-License-Identifier: MIT */
/* l_net.c - making connections: listen, dial, pairs. What cannot be undone comes last. */
#include "l_net.h"

#include "errors.h"
#include "l_conn.h"
#include "pipe.h"
#include "socket.h"
#include "sys.h"

#include <errno.h>

enum { DIAL_TRIES = 3 }; /* the kernel at times finds no free local port though there are some */

static void parse(lua_State *L, int idx, struct addr *a)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n);
    const char *wrong = addr_parse(a, text, n);
    if (!wrong && a->dgram)
        wrong = "not a stream address";
    if (wrong)
        luaL_argerror(L, idx, lua_pushfstring(L, "%s: '%s'", wrong, text));
}

/* listen(address, backlog, reuseport, v6only, unlink) -> listener | nil, err, errno */
static int l_listen(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a;
    parse(L, 1, &a);
    struct socket_listen_options options = {
        .backlog = (int)base_min(face_size(L, 2, 0, 0), INT32_MAX),
        .reuseport = lua_toboolean(L, 3),
        .v6only = lua_toboolean(L, 4),
    };
    struct conn *c = l_conn_new(L, cx);
    int fd = socket_listen(&a, &options);
    if (fd < 0)
        return face_error(L, fd);
    conn_open_socket(c, socket_ops(&a), fd);
    c->kind = CONN_LISTENER;
    c->unlink = lua_toboolean(L, 5) && addr_path(&a);
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

/* dial(address, timeout, local) -> connection | nil, err, errno */
static int l_dial(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a, local;
    bool bound = !lua_isnoneornil(L, 3);
    parse(L, 1, &a);
    if (a.wildcard)
        addr_loopback4(&a);
    int64_t timeout = face_timeout(L, 2);
    if (bound)
        parse(L, 3, &local);
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
    t->op.from = 0;
    t->op.flag = bound;
    return l_conn_run(L, t, c, CONN_CONNECT);
}

/* pair(capacity) -> connection, connection */
static int l_pair(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    size_t capacity = face_size(L, 1, 1, PIPE_CAPACITY);
    struct conn *a = l_conn_new(L, cx), *b = l_conn_new(L, cx);
    int r = pipe_open(&a->stream, &b->stream, capacity);
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
    luaL_argcheck(L, c && c->stream.ops == &pipe_ops && !c->closed, 1, "in-memory connection expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_objlen(L, 2);
    luaL_argcheck(L, n >= 1 && n <= ARRAY_LEN(sizes), 2, "1 to 256 sizes expected");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        sizes[i] = (uint32_t)base_min(face_size(L, -1, 1, 1), UINT32_MAX);
        lua_pop(L, 1);
    }
    return face_result(L, pipe_fragment(&c->stream, sizes, n));
}

/* check_address(text): raises where listen and dial would */
static int l_check_address(lua_State *L)
{
    struct addr a;
    parse(L, 1, &a);
    return 0;
}

static const luaL_Reg functions[] = {
    {"check_address", l_check_address},
    {"dial", l_dial}, {"fragment", l_fragment}, {"listen", l_listen}, {"pair", l_pair}, {NULL, NULL},
};

void l_net_open(lua_State *L) { face_functions(L, functions); }
