/* SPDX-License-Identifier: MIT */
/* l_time.c - now, time, and the virtual clock.
 *
 * Scripts get seconds as floats. 2^53 ns are only a hundred days, so ns are converted as late as possible. */
#include "lua/faces.h"

/* now() -> seconds on the monotonic clock, which deadlines use */
static int l_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_now(&face_ctx(L)->loop.clock) / 1e9);
    return 1;
}

/* time() -> seconds since 1970-01-01 UTC */
static int l_time(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_wall(&face_ctx(L)->loop.clock) / 1e9);
    return 1;
}

/* real() -> seconds on the system's monotonic clock, whatever virtual time says */
static int l_real(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_real() / 1e9);
    return 1;
}

static int l_freeze(lua_State *L)
{
    clock_freeze(&face_ctx(L)->loop.clock);
    return 0;
}

static int l_thaw(lua_State *L)
{
    clock_thaw(&face_ctx(L)->loop.clock);
    return 0;
}

/* clock_advance(seconds): frozen only */
static int l_advance(lua_State *L)
{
    struct clock *c = &face_ctx(L)->loop.clock;
    int64_t ns = face_timeout(L, 1);
    luaL_argcheck(L, ns >= 0, 1, "finite number of seconds expected");
    luaL_argcheck(L, c->frozen, 1, "the clock is not virtual");
    clock_advance_to(c, clock_add(c->now, ns));
    return 0;
}

static const luaL_Reg functions[] = {
    {"clock_advance", l_advance}, {"clock_freeze", l_freeze}, {"clock_thaw", l_thaw},
    {"now", l_now},               {"real", l_real},           {"time", l_time},
    {NULL, NULL},
};

void l_time_open(lua_State *L) { face_functions(L, functions); }
