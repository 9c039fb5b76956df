/* SPDX-License-Identifier: MIT */
/* l_signal.c - names to numbers, and which signals the loop hands to the Lua side's hook. */
#include "l_signal.h"

#include "signals.h"

#include <signal.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"TERM", SIGTERM},   {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"CHLD", SIGCHLD}, {"ALRM", SIGALRM}, {"WINCH", SIGWINCH}, {"CONT", SIGCONT},
    {"PIPE", SIGPIPE}, {"TSTP", SIGTSTP},
};

static int number(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    return luaL_argerror(L, 1, lua_pushfstring(L, "unknown signal '%s'", name));
}

/* signal_watch(name) -> true | nil, err, errno */
static int l_watch(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    return face_result(L, signals_watch(cx->loop.poller, number(L)));
}

/* signal_ignored(name) -> boolean: whoever started this process does not want it to hear of that */
static int l_ignored(lua_State *L)
{
    lua_pushboolean(L, signals_ignored(number(L)));
    return 1;
}

static int l_number(lua_State *L)
{
    lua_pushinteger(L, number(L));
    return 1;
}

/* on_signal(fn): fn(number), on the loop's own stack: it must not wait */
static int l_on_signal(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_SIGNAL);
    return 0;
}

static const luaL_Reg functions[] = {
    {"on_signal", l_on_signal},     {"signal_ignored", l_ignored}, {"signal_number", l_number},
    {"signal_watch", l_watch},      {NULL, NULL},
};

void l_signal_open(lua_State *L) { face_functions(L, functions); }
