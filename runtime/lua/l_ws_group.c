/* SPDX-License-Identifier: MIT */
/* l_ws_group.c - the Lua face of groups of WebSockets. */
#include "lua/faces.h"

#include "base/errors.h"
#include "lua/l_ws.h"
#include "ws/ws_group.h"

#include <string.h>

static const char group_mark = 0;

struct group_face {
    const void *mark;
    struct ws_group g;
};

static struct ws_group *self(lua_State *L)
{
    struct group_face *f = face_self(L, 1, &group_mark, sizeof *f, "group");
    return &f->g;
}

/* add(WebSocket) -> is it new? | nil, err, errno */
static int l_add(lua_State *L)
{
    int r = ws_group_add(self(L), l_ws_socket(L, 2));
    if (r < 0)
        return face_error(L, r);
    lua_pushboolean(L, r);
    return 1;
}

/* remove(WebSocket) -> was it a member? */
static int l_remove(lua_State *L)
{
    lua_pushboolean(L, ws_group_remove(self(L), l_ws_socket(L, 2)));
    return 1;
}

static int push_reached(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushnumber(L, (lua_Number)t->op.total);
    return 1;
}

/* Only a group that waits needs a task. */
static int send_all(lua_State *L, enum ws_opcode opcode)
{
    struct ws_group *g = self(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    const struct ws_socket *except = lua_isnoneornil(L, 3) ? NULL : l_ws_socket(L, 3);
    int64_t deadline = face_deadline_in(L, 4, face_ctx(L));
    struct task *t = g->policy == WS_WAIT ? face_task(L, face_ctx(L)) : NULL;
    if (opcode == WS_TEXT)
        l_ws_check_text(L, bytes, n);
    if (t && sched_canceled(t))
        return face_error(L, ERR_CANCELED);
    int r = ws_group_send(g, opcode, bytes, n, except);
    if (r < 0)
        return face_error(L, r);
    if (!t) {
        lua_pushinteger(L, r);
        return 1;
    }
    t->op.total = (size_t)r;
    t->op.push = push_reached;
    r = ws_group_wait(g, t, deadline);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.result = r;
    return face_return(L, t, push_reached(L, t));
}

/* send(text[, WebSocket that does not get it[, seconds]]) -> how many get it | nil, err, errno */
static int l_send(lua_State *L) { return send_all(L, WS_TEXT); }
static int l_send_binary(lua_State *L) { return send_all(L, WS_BINARY); }

/* stats() -> members, those whose queues are too full, messages that were dropped */
static int l_stats(lua_State *L)
{
    const struct ws_group *g = self(L);
    lua_pushnumber(L, g->count);
    lua_pushnumber(L, g->full);
    lua_pushnumber(L, (lua_Number)g->dropped);
    return 3;
}

static int l_gc(lua_State *L)
{
    struct group_face *f = face_test(L, 1, &group_mark, sizeof *f);
    if (f)
        ws_group_fini(&f->g);
    return 0;
}

/* websocket_group(bytes of a queue, "drop" | "close" | "wait") -> group */
static int l_group(lua_State *L)
{
    static const char *const policies[] = {[WS_DROP] = "drop", [WS_END] = "close", [WS_WAIT] = "wait", NULL};
    size_t most = face_size(L, 1, 0, 0);
    int policy = luaL_checkoption(L, 2, NULL, policies);
    struct group_face *f = face_new(L, FACE_META_GROUP, sizeof *f);
    ws_group_init(&f->g, &face_ctx(L)->loop, most, (enum ws_policy)policy);
    f->mark = &group_mark;
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc}, {"add", l_add},   {"remove", l_remove}, {"send", l_send}, {"send_binary", l_send_binary},
    {"stats", l_stats}, {NULL, NULL},
};

static const luaL_Reg functions[] = {{"websocket_group", l_group}, {NULL, NULL}};

void l_ws_group_open(lua_State *L)
{
    face_class(L, FACE_META_GROUP, "moonpark.websocket.group", methods);
    face_functions(L, functions);
}
