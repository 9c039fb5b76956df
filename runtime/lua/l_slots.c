/* SPDX-License-Identifier: MIT */
/* l_slots.c - a finished coroutine is kept with its slot and runs the next task, at half the cost of a new one; the
 * slot's task is used again, too, so that starting one allocates a quarter of its size on Lua's heap. */
#include "lua/l_slots.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>

enum { TASKS_A_BLOCK = 64 };

static int grow_slots(struct ctx *cx)
{
    if (cx->places < cx->slot_capacity)
        return 0;
    uint32_t capacity = cx->slot_capacity ? cx->slot_capacity * 2 : TASKS_A_BLOCK;
    lua_State **threads = sys_realloc(cx->threads, capacity * sizeof *threads);
    if (!threads)
        return -ENOMEM;
    cx->threads = threads;
    struct task **tasks = sys_realloc(cx->tasks, capacity * sizeof *tasks);
    if (!tasks)
        return -ENOMEM;
    cx->tasks = tasks;
    uint32_t *idle = sys_realloc(cx->idle, capacity * sizeof *idle);
    if (!idle)
        return -ENOMEM;
    cx->idle = idle;
    cx->slot_capacity = capacity;
    return 0;
}

/* Memory of Lua's, so that it outlives this context's end as long as any object that a task waits on. */
static void add_places(lua_State *L, struct ctx *cx)
{
    struct task *block = lua_newuserdata(L, TASKS_A_BLOCK * sizeof *block);
    if (grow_slots(cx) < 0)
        luaL_error(L, "%s", errors_text(-ENOMEM));
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_TASKS);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)(cx->places / TASKS_A_BLOCK) + 1);
    lua_pop(L, 1);
    for (int i = 0; i < TASKS_A_BLOCK; i++)
        cx->tasks[cx->places++] = &block[i];
}

/* A finalizer that runs meanwhile may take the new places. */
static void add_slot(lua_State *L, struct ctx *cx)
{
    while (cx->slots == cx->places)
        add_places(L, cx);
    cx->threads[cx->slots++] = NULL;
    cx->idle[cx->idle_count++] = cx->slots;
}

/* A finalizer that runs in lua_newthread may start tasks too: so that comes first, and a slot is chosen afterwards. */
uint32_t l_slots_take(lua_State *L, struct ctx *cx)
{
    bool has_thread = cx->idle_count > 0 && cx->threads[cx->idle[cx->idle_count - 1] - 1];
    lua_State *spare = has_thread ? NULL : lua_newthread(L);
    if (cx->idle_count == 0)
        add_slot(L, cx);
    uint32_t slot = cx->idle[cx->idle_count - 1];
    if (!cx->threads[slot - 1]) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_thread_key(slot));
        cx->threads[slot - 1] = spare;
    }
    if (spare)
        lua_pop(L, 1);
    cx->idle_count--;
    return slot;
}

void l_slots_leave(lua_State *L, struct ctx *cx, struct task *t, bool reuse)
{
    uint32_t slot = t->slot;
    if (reuse && cx->idle_count < limits.idle_threads) {
        lua_settop(t->L, 0);
    } else {
        lua_pushnil(L);
        lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_thread_key(slot));
        cx->threads[slot - 1] = NULL;
    }
    t->L = t->parked = NULL;
    lua_pushnil(L);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_task_key(slot));
    cx->idle[cx->idle_count++] = slot;
}

static int make_room(lua_State *co)
{
    luaL_checkstack(co, *(int *)lua_touserdata(co, 1) + LUA_MINSTACK, "too many arguments");
    return 0;
}

/* Protected, because nothing would catch its error. */
void l_slots_reserve(lua_State *L, lua_State *co, int n)
{
    if (n <= LUA_MINSTACK / 2)
        return;
    if (lua_cpcall(co, make_room, &n) != 0) {
        lua_settop(co, 0);
        luaL_error(L, "too many arguments");
    }
}

void l_slots_open(lua_State *L)
{
    lua_newtable(L);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_TASKS);
}
