/* SPDX-License-Identifier: MIT */
/* l_bind.c - a stream socket of which a listener or a connection is made later; and the options of any socket. It is a
 * descriptor's object (l_fd.h) until then; lua/moonpark/net/bind.lua makes a class of these functions. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "lua/l_fd.h"
#include "net/socket.h"

#include <errno.h>

static bool parse(lua_State *L, int idx, struct addr *a)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n);
    return !addr_parse(a, text, n) && !a->dgram;
}

static int *bound(lua_State *L)
{
    int *fd = l_fd_test(L, 1);
    luaL_argcheck(L, fd, 1, "descriptor expected");
    return fd;
}

/* bind(address, reuseaddr, reuseport, v6only) -> descriptor | nil, err, errno | false: no numeric address */
static int l_bind(lua_State *L)
{
    struct addr a;
    if (!parse(L, 1, &a)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    int *owned = l_fd_new(L);
    int fd = socket_bind(&a, lua_toboolean(L, 2), lua_toboolean(L, 3), lua_toboolean(L, 4));
    if (fd < 0)
        return face_error(L, fd);
    *owned = fd;
    return 1;
}

static int family_at(lua_State *L, int idx)
{
    static const char *const names[] = {"inet4", "inet6", "unix", NULL};
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    return families[luaL_checkoption(L, idx, NULL, names)];
}

/* bound_new("inet4" | "inet6" | "unix") -> descriptor of a stream socket without an address | nil, err, errno */
static int l_bound_new(lua_State *L)
{
    int family = family_at(L, 1), *owned = l_fd_new(L);
    int fd = socket_new(family);
    if (fd < 0)
        return face_error(L, fd);
    *owned = fd;
    return 1;
}

/* bound_bind(descriptor, address) -> true | nil, err, errno | false: no numeric address */
static int l_bound_bind(lua_State *L)
{
    struct addr a;
    int fd = *bound(L);
    if (!parse(L, 2, &a)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    return face_result(L, fd < 0 ? ERR_CLOSED : sys_bind(fd, &a.any, a.len));
}

enum { OPTION_MOST = 64 }; /* bytes of an option's value */

/* socket_option(fd, level, name, bytes) -> true | nil, err, errno: sets it. With a number in the place of bytes it is
 * asked for: -> that many bytes, or fewer */
static int l_socket_option(lua_State *L)
{
    char value[OPTION_MOST];
    size_t n;
    int fd = luaL_checkint(L, 1), level = luaL_checkint(L, 2), name = luaL_checkint(L, 3);
    if (lua_type(L, 4) == LUA_TSTRING) {
        const char *bytes = lua_tolstring(L, 4, &n);
        return face_result(L, sys_setsockopt(fd, level, name, bytes, (socklen_t)n));
    }
    n = face_size(L, 4, 1, 1);
    luaL_argcheck(L, n <= sizeof value, 4, "too many bytes");
    socklen_t len = (socklen_t)n;
    int r = sys_getsockopt(fd, level, name, value, &len);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, value, base_min(len, sizeof value));
    return 1;
}

/* bound_listen(descriptor, backlog) -> true | nil, err, errno: net.from_fd makes a listener of it then */
static int l_bound_listen(lua_State *L)
{
    int fd = *bound(L);
    int backlog = (int)base_min(face_size(L, 2, 0, 0), INT32_MAX);
    return face_result(L, fd < 0 ? ERR_CLOSED : sys_listen(fd, backlog > 0 ? backlog : INT32_MAX));
}

/* bound_dial(descriptor, address, timeout) -> connection | nil, err, errno | false: no numeric address. The descriptor
 * is the connection's from then on, and closed where it fails. */
static int l_bound_dial(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a;
    int *owned = bound(L);
    int64_t timeout = face_timeout(L, 3);
    if (!parse(L, 2, &a)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    struct task *t = face_task(L, cx);
    if (*owned < 0)
        return face_return(L, t, face_error(L, ERR_CLOSED));
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    struct conn *c = l_conn_new(L, cx);
    lua_replace(L, 1);
    lua_settop(L, 1);
    int fd = *owned, r = sys_connect(fd, &a.any, a.len);
    if (r < 0 && r != -EINPROGRESS)
        return face_return(L, t, face_error(L, r));
    *owned = -1;
    conn_open_socket(c, socket_ops(&a), fd);
    c->timeout = timeout;
    *OPERATION(t, struct conn_connecting) = (struct conn_connecting){.place = 0, .bound = true};
    return l_conn_run(L, t, c, &conn_connect, l_conn_push_connected);
}

/* bound_address(descriptor) -> text | nil, err, errno */
static int l_bound_address(lua_State *L)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    int fd = *bound(L), r = fd < 0 ? ERR_CLOSED : socket_local(fd, &a);
    if (r < 0)
        return face_error(L, r);
    a.dgram = false;
    lua_pushlstring(L, text, addr_format(&a, text));
    return 1;
}

static const luaL_Reg functions[] = {
    {"bind", l_bind},
    {"bound_address", l_bound_address},
    {"bound_bind", l_bound_bind},
    {"bound_dial", l_bound_dial},
    {"bound_listen", l_bound_listen},
    {"bound_new", l_bound_new},
    {"socket_option", l_socket_option},
    {NULL, NULL},
};

void l_bind_open(lua_State *L) { face_functions(L, functions); }
