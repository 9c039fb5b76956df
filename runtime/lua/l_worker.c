/* SPDX-License-Identifier: MIT */
/* l_worker.c - what a supervisor and its workers ask of the system, and of the scheduler: a link between them, a
 * worker's place, attendants. */
#include "lua/faces.h"

#include "base/sys.h"
#include "base/sys_child.h"
#include "lua/l_fd.h"
#include "lua/l_signal.h"
#include "loop/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* socket_pair() -> descriptor, descriptor | nil, err, errno */
static int l_socket_pair(lua_State *L)
{
    int fds[2];
    int *one = l_fd_new(L), *other = l_fd_new(L);
    int r = sys_socketpair(fds);
    if (r < 0)
        return face_error(L, r);
    *one = fds[0];
    *other = fds[1];
    return 2;
}

/* take_variable(name) -> an environment variable's text, or nil; it is unset, so that no child of ours inherits it */
static int l_take_variable(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_pushstring(L, getenv(name));
    (void)unsetenv(name);
    return 1;
}

static int l_unblock_signals(lua_State *L)
{
    (void)L;
    sys_unblock_signals();
    return 0;
}

/* close_number(fd): of a descriptor that belongs to the caller */
static int l_close_number(lua_State *L)
{
    sys_close(luaL_checkint(L, 1));
    return 0;
}

/* die_with(pid) -> true | nil, err, errno: we are killed when our parent ends; "no such process": it is not that one */
static int l_die_with(lua_State *L) { return face_result(L, sys_die_with(luaL_checkint(L, 1))); }

/* take_input() -> descriptor | nil, err, errno: what was standard input, which is empty from now on */
static int l_take_input(lua_State *L)
{
    int *object = l_fd_new(L);
    int r = sys_take_input();
    if (r < 0)
        return face_error(L, r);
    *object = r;
    return 1;
}

/* copy_fd(number) -> descriptor of its own | nil, err, errno */
static int l_copy_fd(lua_State *L)
{
    int *object = l_fd_new(L);
    int r = sys_dup(luaL_checkint(L, 1));
    if (r < 0)
        return face_error(L, r);
    *object = r;
    return 1;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

/* The strings of the table at idx in the system's form. They and the array live while they are on the stack. */
static char *const *strings(lua_State *L, int idx)
{
    size_t n = lua_objlen(L, idx);
    const char **list = lua_newuserdata(L, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, idx, (int)i + 1);
        list[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    list[n] = NULL;
    return (char *const *)list;
}

/* exec({word, ...}, {"NAME=value", ...}, {descriptor number, ...}) -> nil, err, errno: this process becomes that
 * program, and keeps those descriptors. Signals are held back until it calls unblock_signals. "interrupted system
 * call": one has come that the loop has not handled. */
static int l_exec(lua_State *L)
{
    for (int i = 1; i <= 3; i++)
        luaL_checktype(L, i, LUA_TTABLE);
    lua_settop(L, 3);
    size_t n = lua_objlen(L, 3);
    int *fds = lua_newuserdata(L, (n + 1) * sizeof *fds);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 3, (int)i + 1);
        fds[i] = luaL_checkint(L, -1);
        lua_pop(L, 1);
    }
    char *const *argv = strings(L, 1), *const *envp = strings(L, 2);
    luaL_argcheck(L, argv[0], 1, "no program");
    sys_block_signals();
    int r = sys_any_signal(signals_pending) ? -EINTR : sys_exec(argv, envp, fds, n);
    sys_unblock_signals();
    return face_error(L, r);
}

/* become(user) -> true | nil, err, errno */
static int l_become(lua_State *L)
{
    int r = sys_become(luaL_checkstring(L, 1));
    if (r != -ENOENT)
        return face_result(L, r);
    lua_pushnil(L);
    lua_pushliteral(L, "no such user");
    return 2;
}

static int l_page_size(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)sysconf(_SC_PAGESIZE));
    return 1;
}

/* uid() -> the effective user's */
static int l_uid(lua_State *L)
{
    lua_pushnumber(L, geteuid());
    return 1;
}

/* raise(name): sends this process a signal */
static int l_raise(lua_State *L)
{
    (void)kill(getpid(), l_signal_number(L, 1));
    return 0;
}

/* attend(): the calling task serves the others, and the loop does not wait for it; see sched_attend */
static int l_attend(lua_State *L)
{
    sched_attend(face_task(L, face_ctx(L)));
    return 0;
}

/* expect(n): n more (or fewer) messages from outside will wake a task; see sched_expect */
static int l_expect(lua_State *L)
{
    struct sched *s = &face_loop(L)->loop.sched;
    int n = luaL_checkint(L, 1);
    luaL_argcheck(L, n >= 0 || s->outside >= (uint32_t)-n, 1, "fewer are expected");
    sched_expect(s, n);
    return 0;
}

static const luaL_Reg functions[] = {
    {"attend", l_attend},
    {"become", l_become},
    {"close_number", l_close_number},
    {"copy_fd", l_copy_fd},
    {"die_with", l_die_with},
    {"exec", l_exec},
    {"expect", l_expect},
    {"page_size", l_page_size},
    {"pid", l_pid},
    {"raise", l_raise},
    {"socket_pair", l_socket_pair},
    {"take_input", l_take_input},
    {"take_variable", l_take_variable},
    {"uid", l_uid},
    {"unblock_signals", l_unblock_signals},
    {NULL, NULL},
};

void l_worker_open(lua_State *L) { face_functions(L, functions); }
