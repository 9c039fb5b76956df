/* SPDX-License-Identifier: MIT */
/* l_watch.c - the Lua face of watches: a connection that delivers records, and the decoding of a record.
 *
 * Check, open, push. The connection does waiting, deadlines, closing and reports. */
#include "lua/faces.h"

#include "base/errors.h"
#include "fs/inotify.h"
#include "lua/l_conn.h"

#include <string.h>

/* watch_open(path, event, ...) -> connection | nil, err, errno */
static int l_open(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    const char *path = luaL_checkstring(L, 1);
    uint32_t mask = 0;
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        uint32_t bits = inotify_mask(luaL_checkstring(L, i));
        luaL_argcheck(L, bits, i, "unknown event");
        mask |= bits;
    }
    struct conn *c = l_conn_new(L, cx);
    struct stream s;
    int r = inotify_open(&s, path, mask);
    if (r < 0)
        return face_error(L, r);
    conn_open(c, &s);
    return 1;
}

/* watch_event(record) -> {event, name, direction, cookie, directory} */
static int l_event(lua_State *L)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);
    struct inotify_record record;
    luaL_argcheck(L, n == sizeof record, 1, "not a record");
    memcpy(&record, bytes, n);
    struct inotify_change change = inotify_decode(&record);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, change.event);
    lua_setfield(L, -2, "event");
    if (record.name[0]) {
        lua_pushstring(L, record.name);
        lua_setfield(L, -2, "name");
    }
    lua_pushstring(L, change.direction);
    lua_setfield(L, -2, "direction");
    if (record.cookie) {
        lua_pushnumber(L, record.cookie);
        lua_setfield(L, -2, "cookie");
    }
    lua_pushboolean(L, change.directory);
    lua_setfield(L, -2, "directory");
    return 1;
}

static const luaL_Reg functions[] = {
    {"watch_event", l_event}, {"watch_open", l_open}, {NULL, NULL},
};

void l_watch_open(lua_State *L)
{
    face_functions(L, functions);
    lua_pushinteger(L, sizeof(struct inotify_record));
    lua_setfield(L, -2, "watch_record");
}
