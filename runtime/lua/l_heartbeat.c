/* SPDX-License-Identifier: MIT */
/* l_heartbeat.c - where the loop's heartbeat lies: in this process, or in a file that others map. */
#include "lua/faces.h"

#include "base/sys_file.h"

/* heartbeat() -> since when tasks run in this turn, in seconds on the system's monotonic clock, or nil while none do;
 * how many tasks ran, modulo 2^32 */
static int l_heartbeat(lua_State *L)
{
    const struct heartbeat *beat = face_loop(L)->loop.beat;
    if (beat->turn_since_ns == 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, (lua_Number)beat->turn_since_ns / 1e9);
    lua_pushnumber(L, beat->resumes);
    return 2;
}

/* heartbeat_at([descriptor, offset]): from now on the loop writes its struct heartbeat there, which the file must be
 * long enough for; none: into its own memory. The offset, in bytes, is a multiple of 16. Returns true, or nil, text,
 * errno and all as it was. */
static int l_heartbeat_at(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct heartbeat *before = cx->shared_beat, *beat = NULL;
    if (!lua_isnoneornil(L, 1)) {
        lua_Integer offset = luaL_optinteger(L, 2, 0);
        luaL_argcheck(L, offset >= 0 && offset % (lua_Integer)sizeof *beat == 0, 2, "a multiple of 16 expected");
        void *bytes;
        int r = sys_map_part(luaL_checkint(L, 1), offset, sizeof *beat, &bytes);
        if (r < 0)
            return face_error(L, r);
        beat = bytes;
    }
    loop_beat_at(&cx->loop, beat);
    cx->shared_beat = beat;
    if (before)
        sys_unmap_part(before, sizeof *before);
    return face_result(L, 0);
}

static const luaL_Reg functions[] = {
    {"heartbeat", l_heartbeat}, {"heartbeat_at", l_heartbeat_at}, {NULL, NULL},
};

void l_heartbeat_open(lua_State *L) { face_functions(L, functions); }
