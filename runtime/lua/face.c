/* SPDX-License-Identifier: MIT */
/* face.c - argument checks exist once, so that every method reports the same mistake in the same way. */
#include "lua/face.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <luajit.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char face_token = 0;

const struct site *face_site(struct ctx *cx, lua_State *L)
{
    const struct site *s = site_here(&cx->sites, L, 1);
    const struct task *t = face_running(cx);
    return s || !t ? s : t->site;
}

/* No place in front: it is the environment that is wrong, and no script. */
static void no_poller(lua_State *L, const char *name)
{
    char names[128];
    lua_pushfstring(L, "MOONPARK_POLLER: unknown poller '%s' (available: %s)", name,
                    poller_names(names, sizeof names));
    lua_error(L);
}

struct ctx *face_loop(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    if (cx->opened)
        return cx;
    if (cx->ended)
        luaL_error(L, "the Lua state is being closed");
    const char *name = getenv("MOONPARK_POLLER");
    int r = loop_open(&cx->loop, name);
    if (r == -EINVAL)
        no_poller(L, name);
    if (r < 0)
        luaL_error(L, "cannot open the poller: %s", errors_text(r));
    cx->opened = true;
    return cx;
}

struct task *face_task(lua_State *L, struct ctx *cx)
{
    struct task *t = face_running(cx);
    if (!t)
        luaL_error(L, "must be called in a task (inside moonpark.run)");
    if (!lua_isyieldable(L))
        luaL_error(L, "cannot wait here: attempt to yield across a C call "
                      "(table.sort, string.gsub, a finalizer, ...)");
    if (L != t->L)
        (void)luaJIT_setmode(L, 0, LUAJIT_MODE_DEBUG); /* does nothing, but raises in a finalizer: a
            generator that one runs says it is yieldable, and its yield would then get lost */
    if (t->state != TASK_RUNNING)
        luaL_error(L, "task is already waiting: one of its coroutines was resumed without "
                      "moonpark's knowledge (by a coroutine.resume saved before moonpark was loaded?)");
    return t;
}

/* Yields the token and the n values on top; never the token alone, for it could be passed on without us and nobody
 * would notice. */
static int yield_token(lua_State *L, struct task *t, int n)
{
    t->parked = L;
    lua_pushlightuserdata(L, (void *)&face_token);
    if (n > 0) {
        lua_insert(L, -n - 1);
    } else {
        lua_pushboolean(L, 1);
        n = 1;
    }
    t->held = n + 1;
    return lua_yield(L, n + 1);
}

int face_park(lua_State *L, struct task *t) { return yield_token(L, t, lua_gettop(L)); }

int face_yield(lua_State *L, struct task *t, int n)
{
    sched_give_way(t);
    t->values = n;
    return yield_token(L, t, n);
}

int face_return(lua_State *L, struct task *t, int n)
{
    if (t->budget > 1) {
        t->budget--;
        return n;
    }
    return face_yield(L, t, n);
}

void face_unpark(struct task *t)
{
    if (t->state == TASK_PARKED)
        sched_wake(t, ERR_CANCELED);
    must(t->state == TASK_READY);
    list_del(&t->link);
    t->state = TASK_RUNNING;
    t->wait.result = ERR_CANCELED;
    if (t->values < 0 && t->wait.kind->attempt)
        must(t->wait.kind->attempt(t) != SCHED_PARKED);
    t->values = -1;
}

int face_error(lua_State *L, int code)
{
    int number = errors_errno(code);
    lua_pushnil(L);
    lua_pushstring(L, errors_text(code));
    if (!number)
        return 2;
    lua_pushinteger(L, number);
    return 3;
}

int face_result(lua_State *L, int code)
{
    if (code < 0)
        return face_error(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

void *face_test(lua_State *L, int idx, const void *mark, size_t size)
{
    /* A light userdata has no length, so what passes both tests points at `size` bytes. */
    const void **p = lua_touserdata(L, idx);
    return p && lua_objlen(L, idx) == size && *p == mark ? (void *)p : NULL;
}

/* A dot for a colon leaves the object out. */
static void not_self(lua_State *L, int idx, const char *name, const char *got)
{
    lua_Debug ar;
    bool is_field = idx == 1 && lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) && ar.namewhat && ar.name &&
                    strcmp(ar.namewhat, "field") == 0;
    if (is_field)
        luaL_error(L, "%s expected, got %s: methods take a colon, as in object:%s(...)", name, got, ar.name);
    luaL_argerror(L, idx, lua_pushfstring(L, "%s expected, got %s", name, got));
}

void *face_self(lua_State *L, int idx, const void *mark, size_t size, const char *name)
{
    void *p = face_test(L, idx, mark, size);
    if (!p)
        not_self(L, idx, name, luaL_typename(L, idx));
    return p;
}

lua_Number face_number(lua_State *L, int idx)
{
    luaL_checktype(L, idx, LUA_TNUMBER);
    return lua_tonumber(L, idx);
}

lua_Number face_number_or(lua_State *L, int idx, lua_Number otherwise)
{
    return lua_isnoneornil(L, idx) ? otherwise : face_number(L, idx);
}

static lua_Number number(lua_State *L, int idx)
{
    lua_Number n = face_number(L, idx);
    luaL_argcheck(L, !isnan(n), idx, "number of seconds expected, got NaN");
    return n;
}

int64_t face_timeout(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return -1;
    lua_Number seconds = number(L, idx);
    if (isinf(seconds) && seconds > 0)
        return -1;
    return seconds <= 0 ? 0 : clock_ns(seconds);
}

int64_t face_deadline_in(lua_State *L, int idx, struct ctx *cx)
{
    if (idx > lua_gettop(L))
        return 0;
    int64_t timeout = face_timeout(L, idx);
    if (timeout <= 0)
        return timeout < 0 ? 0 : -1;
    return clock_add(loop_now(&cx->loop), timeout);
}

int64_t face_deadline_at(lua_State *L, int idx, struct ctx *cx)
{
    if (lua_isnoneornil(L, idx))
        return 0;
    lua_Number seconds = number(L, idx);
    if (isinf(seconds) && seconds > 0)
        return 0;
    /* The turn's clock is enough: a deadline that has passed since is noticed when the next operation begins, or by
     * the timer in the next turn, and no waiter runs before that anyway. */
    int64_t when = clock_ns(seconds);
    return when <= cx->loop.sched.now ? -1 : when;
}

size_t face_size(lua_State *L, int idx, size_t least, size_t otherwise)
{
    if (lua_isnoneornil(L, idx))
        return otherwise;
    lua_Number n = face_number(L, idx);
    if (!(n >= (lua_Number)least) || n != floor(n))
        luaL_argerror(L, idx, lua_pushfstring(L, "whole number of at least %d expected", (int)least));
    return n >= 9e15 ? (size_t)9e15 : (size_t)n;
}

int face_unknown(lua_State *L, int idx, const char *what, const struct spelling *s)
{
    const char *text = s->nearest ? lua_pushfstring(L, "unknown %s '%s'; did you mean '%s'?", what, s->word, s->nearest)
                                  : lua_pushfstring(L, "unknown %s '%s'", what, s->word);
    return luaL_argerror(L, idx, text);
}

void face_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushvalue(L, lua_upvalueindex(FACE_UP_CONTEXT));
        lua_pushvalue(L, lua_upvalueindex(FACE_UP_ANCHORS));
        lua_pushcclosure(L, functions->func, 2);
        lua_setfield(L, -2, functions->name);
    }
}

void face_class(lua_State *L, int meta, const char *name, const luaL_Reg *methods)
{
    lua_newtable(L);
    face_functions(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), meta);
}

void *face_new(lua_State *L, int meta, size_t size)
{
    void *p = lua_newuserdata(L, size);
    memset(p, 0, size);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), meta);
    lua_setmetatable(L, -2);
    return p;
}
