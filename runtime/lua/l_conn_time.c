/* SPDX-License-Identifier: MIT */
/* l_conn_time.c - deadlines and timeouts of connections, listeners and packet sockets. */
#include "lua/faces.h"

#include "lua/l_conn.h"
#include "net/conn_time.h"

static int set_deadline(lua_State *L, int mode)
{
    struct conn *c = l_conn_any(L);
    int64_t when = face_deadline_at(L, 2, face_ctx(L));
    return face_result(L, conn_set_deadline(c, when, mode));
}

static int l_set_deadline(lua_State *L) { return set_deadline(L, MODE_R | MODE_W); }
static int l_set_read_deadline(lua_State *L) { return set_deadline(L, MODE_R); }
static int l_set_write_deadline(lua_State *L) { return set_deadline(L, MODE_W); }

static int set_timeout(lua_State *L, bool each)
{
    static const char *const names[] = {"r", "w", "rw", NULL};
    static const int modes[] = {MODE_R, MODE_W, MODE_R | MODE_W};
    struct conn *c = l_conn_any(L);
    int64_t timeout = face_timeout(L, 2);
    return face_result(L, conn_set_timeout(c, timeout, modes[luaL_checkoption(L, 3, "rw", names)], each));
}

/* set_timeout(seconds[, mode]): for each operation that begins from now on; nil: none, 0: it tries once */
static int l_set_timeout(lua_State *L) { return set_timeout(L, false); }

/* set_wait_timeout(seconds[, mode]): for each wait inside of them */
static int l_set_wait_timeout(lua_State *L) { return set_timeout(L, true); }

static const luaL_Reg methods[] = {
    {"set_deadline", l_set_deadline},
    {"set_read_deadline", l_set_read_deadline},
    {"set_timeout", l_set_timeout},
    {"set_wait_timeout", l_set_wait_timeout},
    {"set_write_deadline", l_set_write_deadline},
    {NULL, NULL},
};

/* After both classes are there. */
void l_conn_time_open(lua_State *L)
{
    static const int classes[] = {FACE_META_CONN, FACE_META_PACKET};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), classes[i]);
        face_functions(L, methods);
        lua_pop(L, 1);
    }
}
