/* SPDX-License-Identifier: MIT */
/* l_locals.c - values of a task. They are in a table that is its handle's environment, and a task that is started gets
 * the same one: it is copied by the first of them that changes something. */
#include "lua/faces.h"

#include "lua/l_task.h"

/* Pushes the running task and its handle is returned; raises outside tasks. */
static struct task_face *running(lua_State *L)
{
    struct task *t = face_running(face_ctx(L));
    if (!t)
        luaL_error(L, "must be called in a task (inside moonpark.run)");
    l_task_push(L, t);
    return t->handle;
}

/* get_local(key) -> the calling task's value, or nil; nil outside tasks, too */
static int l_get_local(lua_State *L)
{
    struct task *t = face_running(face_ctx(L));
    const struct task_face *f = t ? t->handle : NULL;
    if (!f || !f->locals)
        return 0;
    lua_settop(L, 1);
    l_task_push(L, t);
    lua_getfenv(L, 2);
    lua_pushvalue(L, 1);
    lua_rawget(L, 3);
    return 1;
}

/* Pushes a copy of the table at idx; of an empty one where idx is 0. */
static void push_copy(lua_State *L, int idx)
{
    lua_newtable(L);
    if (!idx)
        return;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* set_local(key, value) */
static int l_set_local(lua_State *L)
{
    luaL_argcheck(L, !lua_isnoneornil(L, 1), 1, "a key expected, got nil");
    lua_settop(L, 2);
    struct task_face *f = running(L); /* 3 */
    lua_getfenv(L, 3);                /* 4 */
    if (!f->locals || !f->alone) {
        push_copy(L, f->locals ? 4 : 0);
        lua_pushvalue(L, -1);
        lua_setfenv(L, 3);
        f->locals = f->alone = true;
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawset(L, -3);
    return 0;
}

/* take_locals(task | nil): the calling task has those of that one from now on, as they are; nil: none. For tasks that
 * work for one after another. */
static int l_take_locals(lua_State *L)
{
    struct task_face *from = l_task_face(L, 1);
    lua_settop(L, 1);
    struct task_face *f = running(L);
    f->locals = from && from->task && from->locals;
    if (!f->locals)
        return 0;
    lua_getfenv(L, 1);
    lua_setfenv(L, 2);
    f->alone = from->alone = false;
    return 0;
}

static const luaL_Reg functions[] = {
    {"get_local", l_get_local}, {"set_local", l_set_local}, {"take_locals", l_take_locals}, {NULL, NULL},
};

void l_locals_open(lua_State *L) { face_functions(L, functions); }
