/* SPDX-License-Identifier: MIT */
/* l_shared_counter.c - the Lua face of counters that processes share. */
#include "lua/l_shared.h"

#include "base/sys.h"
#include "shared/counters.h"

#include <math.h>

static const char counters_mark = 0, counter_mark = 0;

struct face_counters {
    const void *mark;
    struct list link;
    struct counters counters;
};

struct face_counter {
    const void *mark;
    struct face_counters *of; /* its environment keeps it */
    struct counter *counter;
};

/* ---- counters ---- */

static struct counter *counter_self(lua_State *L)
{
    struct face_counter *c = face_self(L, 1, &counter_mark, sizeof *c, "shared counter");
    if (!c->of->counters.segment.base)
        luaL_error(L, "shared counter is closed");
    return c->counter;
}

static int64_t check_whole(lua_State *L, int idx, lua_Number n)
{
    if (n != floor(n) || fabs(n) > (lua_Number)COUNTERS_LIMIT)
        luaL_argerror(L, idx, "whole number within 2^53 expected");
    return (int64_t)n;
}

/* add([n]) -> the sum | nil, "out of range" */
static int l_counter_add(lua_State *L)
{
    struct counter *c = counter_self(L);
    int64_t sum;
    if (counters_add(c, check_whole(L, 2, face_number_or(L, 2, 1)), &sum)) {
        lua_pushnumber(L, (lua_Number)sum);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "out of range");
    return 2;
}

/* get() -> number */
static int l_counter_get(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)counters_get(counter_self(L)));
    return 1;
}

/* set(n) */
static int l_counter_set(lua_State *L)
{
    struct counter *c = counter_self(L);
    counters_set(c, check_whole(L, 2, face_number(L, 2)));
    return 0;
}

static int l_counter_tostring(lua_State *L)
{
    lua_pushfstring(L, "shared counter '%s'", counter_self(L)->name);
    return 1;
}

static struct face_counters *counters_self(lua_State *L)
{
    return face_self(L, 1, &counters_mark, sizeof(struct face_counters), "shared counters");
}

static int l_counters_gc(lua_State *L)
{
    struct face_counters *c = face_test(L, 1, &counters_mark, sizeof *c);
    if (c) {
        list_del(&c->link);
        counters_close(&c->counters);
    }
    return 0;
}

/* shared_counters() -> all counters, not open yet */
static int l_counters(lua_State *L)
{
    struct face_counters *c = face_new(L, FACE_META_SHARED_COUNTERS, sizeof *c);
    c->mark = &counters_mark;
    list_init(&c->link);
    return 1;
}

/* shared_counters_open(counters, fd, name) -> as shared_dict_open */
static int l_counters_open(lua_State *L)
{
    struct face_counters *c = counters_self(L);
    int fd = (int)luaL_checkinteger(L, 2);
    must(!c->counters.segment.base);
    int r = counters_open(&c->counters, fd, luaL_checkstring(L, 3));
    sys_close(fd);
    if (r == 0)
        list_push(&face_ctx(L)->counters, &c->link);
    return l_shared_opened(L, r, &c->counters.segment, "counters", COUNTERS_SIZE);
}

/* shared_counter(counters, name) -> counter | nil, "no memory" */
static int l_counter(lua_State *L)
{
    struct face_counters *of = counters_self(L);
    const char *name = luaL_checkstring(L, 2);
    luaL_argcheck(L, of->counters.segment.base, 1, "shared counters are closed");
    struct face_counter *c = face_new(L, FACE_META_SHARED_COUNTER, sizeof *c);
    c->of = of;
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    c->counter = counters_find(&of->counters, name);
    if (c->counter) {
        c->mark = &counter_mark;
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "no memory");
    return 2;
}

/* ---- tables ---- */

void l_shared_counter_check(const struct ctx *cx)
{
    for (struct list *l = cx->counters.next; l != &cx->counters; l = l->next)
        must(!counters_fault(&container_of(l, struct face_counters, link)->counters));
}

static const luaL_Reg counter_methods[] = {
    {"__tostring", l_counter_tostring}, {"add", l_counter_add}, {"get", l_counter_get}, {"set", l_counter_set},
    {NULL, NULL},
};

static const luaL_Reg counters_methods[] = {
    {"__gc", l_counters_gc}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"shared_counter", l_counter},
    {"shared_counters", l_counters},
    {"shared_counters_open", l_counters_open},
    {NULL, NULL},
};

void l_shared_counter_open(lua_State *L)
{
    list_init(&face_ctx(L)->counters);
    face_class(L, FACE_META_SHARED_COUNTER, "moonpark.shared_counter", counter_methods);
    face_class(L, FACE_META_SHARED_COUNTERS, "moonpark.shared_counters", counters_methods);
    face_functions(L, functions);
}
