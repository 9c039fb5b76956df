/* SPDX-License-Identifier: MIT */
/* l_notify.c - one datagram to a service manager: for systemd.lua. It never waits, and takes no task. */
#include "lua/faces.h"

#include "base/sys.h"
#include "net/addr.h"

#include <stdlib.h>
#include <unistd.h>

static int send_to(const struct addr *a, const char *text, size_t n)
{
    int fd = sys_socket(a->any.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    ssize_t r = sys_send_to(fd, text, n, &a->any, a->len);
    sys_close(fd);
    return r < 0 ? (int)r : 0;
}

/* notify_send(address, text) -> true | nil, err, errno; false, what is wrong with the address */
static int l_send(lua_State *L)
{
    struct addr a;
    size_t address_length, length;
    const char *address = luaL_checklstring(L, 1, &address_length);
    const char *text = luaL_checklstring(L, 2, &length);
    const char *wrong = addr_parse(&a, address, address_length);
    if (!wrong)
        return face_result(L, send_to(&a, text, length));
    lua_pushboolean(L, 0);
    lua_pushstring(L, wrong);
    return 2;
}

/* notify_variables() -> our process's id, NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID */
static int l_variables(lua_State *L)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
    lua_pushinteger(L, getpid());
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        lua_pushstring(L, getenv(names[i]));
    return 1 + (int)ARRAY_LEN(names);
}

/* notify_unset(): children see none of them from now on */
static int l_unset(lua_State *L)
{
    (void)L;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return 0;
}

static const luaL_Reg functions[] = {
    {"notify_send", l_send}, {"notify_unset", l_unset}, {"notify_variables", l_variables}, {NULL, NULL}};

void l_notify_open(lua_State *L) { face_functions(L, functions); }
