/* SPDX-License-Identifier: MIT */
/* l_task.c - go, join, cancel, sleep, yield, and the scopes that the Lua side builds on.
 * A handle is all that a new task needs of Lua's heap, if a slot has a coroutine from an earlier one. */
#include "lua/l_task.h"

#include "base/errors.h"
#include "lua/l_conn.h"
#include "lua/l_slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char task_mark = 0, scope_mark = 0;

struct scope_face {
    const void *mark;
    struct scope *scope; /* NULL once closed */
    bool remembered;     /* it is in FACE_SCOPES */
    bool broken;         /* one of its tasks failed, and there was no memory for the error */
};

static struct task_face *self(lua_State *L, int idx)
{
    return face_self(L, idx, &task_mark, sizeof(struct task_face), "task");
}

struct task_face *l_task_face(lua_State *L, int idx) { return face_test(L, idx, &task_mark, sizeof(struct task_face)); }

bool l_task_is(lua_State *L, int idx) { return face_test(L, idx, &task_mark, sizeof(struct task_face)); }

struct task *l_task_test(lua_State *L, int idx)
{
    struct task_face *f = face_test(L, idx, &task_mark, sizeof *f);
    return f ? f->task : NULL;
}

static struct scope_face *scope_self(lua_State *L, int idx)
{
    return face_self(L, idx, &scope_mark, sizeof(struct scope_face), "scope");
}

/* Nothing allocates on Lua's heap between the anchors' letting the handle go and its last word. */
void l_task_end(lua_State *L, struct ctx *cx, struct task *t, bool reuse)
{
    struct task_face *f = t->handle;
    if (t->owned)
        conn_close(t->owned);
    l_slots_leave(L, cx, t, reuse);
    sched_finish(t);
    f->values = t->values;
    f->failed = t->failed;
    f->canceled = t->canceled;
    f->awaited = t->awaited;
    f->task = NULL;
}

void l_task_push(lua_State *L, const struct task *t)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_task_key(t->slot));
}

/* The task on top of L has the locals of the one that starts it, in the same table until one of them changes it. */
static void inherit(lua_State *L, struct ctx *cx, struct task_face *f)
{
    struct task *parent = face_running(cx);
    struct task_face *of = parent ? parent->handle : NULL;
    if (!of || !of->locals)
        return;
    l_task_push(L, parent);
    lua_getfenv(L, -1);
    lua_setfenv(L, -3);
    lua_pop(L, 1);
    f->locals = true;
    f->alone = of->alone = false;
}

struct task *l_task_start(lua_State *L, struct ctx *cx, int n, struct scope *parent)
{
    struct task_face *f = face_new(L, FACE_META_TASK, sizeof *f);
    uint32_t slot = l_slots_take(L, cx);
    struct task *t = cx->tasks[slot - 1];
    lua_State *co = cx->threads[slot - 1];
    cx->idle_count++; /* not taken until nothing can fail any more */
    l_slots_reserve(L, co, n);
    lua_pushvalue(L, -1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_task_key(slot));
    cx->idle_count--;

    memset(t, 0, sizeof *t);
    t->site = face_site(cx, L);
    t->L = t->parked = co;
    t->handle = f;
    t->slot = slot;
    lua_insert(L, -n - 1);
    lua_xmove(L, co, n);
    sched_start(&cx->loop.sched, t, parent);
    t->values = n - 1;
    *f = (struct task_face){.mark = &task_mark, .task = t, .id = t->id, .site = t->site};
    inherit(L, cx, f);
    return t;
}

/* go(fn, ...) -> task */
static int l_go(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!cx->L) /* nothing would run it */
        return luaL_error(L, "no loop is running: call it inside moonpark.run");
    l_task_start(L, cx, lua_gettop(L), NULL);
    return 1;
}

/* go_daemon(fn, ...) -> task: for which the loop does not wait */
static int l_go_daemon(lua_State *L)
{
    int n = l_go(L);
    sched_set_daemon(l_task_test(L, -1), true);
    return n;
}

/* recall(task): the loop waits for it again */
static int l_recall(lua_State *L)
{
    struct task *t = self(L, 1)->task;
    if (t)
        sched_set_daemon(t, false);
    return 0;
}

/* go_now(fn, ...) -> task: it runs at once, until its first wait, and the caller after it. Where the caller cannot
 * wait, as in a callback of string.gsub, it is like go. */
static int l_go_now(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    int n = l_go(L);
    struct task *t = face_running(cx), *child = l_task_test(L, -1);
    if (!t || !lua_isyieldable(L))
        return n;
    n = face_yield(L, t, 1);
    sched_put_first(child, t);
    return n;
}

/* go_inside(fn, ...) -> task: in the caller's innermost open scope or, without one, in the scope it was started in */
static int l_go_inside(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct task *t = face_running(cx);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (!t)
        return luaL_error(L, "must be called in a task (inside moonpark.run)");
    l_task_start(L, cx, lua_gettop(L), t->scope ? t->scope : t->parent);
    return 1;
}

/* ---- joining ---- */

static void leave_joiners(struct task *t) { list_del(&t->wait.self.link); }

/* A suspended coroutine has room for a few values; if there are more, the joiner fetches them itself. */
enum { JOIN_VALUES = 8 };

/* If it has results, its handle is on top of L. */
int l_task_push_ended(lua_State *L, const struct task_face *target)
{
    if (target->values > JOIN_VALUES || target->failed) {
        lua_pushlightuserdata(L, (void *)&face_token);
        return 1;
    }
    lua_pushboolean(L, 1);
    if (target->values <= 0)
        return 1;
    lua_getfenv(L, -2);
    int table = lua_gettop(L);
    for (int i = 1; i <= target->values; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return 1 + target->values;
}

static int push_joined(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    const struct task_face *target = self(t->L, FACE_ARGUMENT);
    if (target->values <= 0)
        return l_task_push_ended(L, target);
    lua_pushvalue(t->L, FACE_ARGUMENT);
    lua_xmove(t->L, L, 1);
    int n = l_task_push_ended(L, target);
    lua_remove(L, -n - 1);
    return n;
}

static void describe_join(const struct task *t, char *text, size_t n)
{
    const struct task *target = t->wait.object;
    snprintf(text, n, "task %llu", (unsigned long long)target->id);
}

static const struct wait_kind kind_join = {
    .name = "join", .push = push_joined, .undo = leave_joiners, .describe = describe_join};

/* await(task[, timeout]) -> true, results... | nil, err | the token: fetch them with results() */
static int l_await(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct task_face *f = self(L, 1);
    struct task *target = f->task;
    int64_t deadline = face_deadline_in(L, 2, cx);
    struct task *t = face_task(L, cx);
    if (target == t)
        return luaL_error(L, "a task cannot join itself");
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (!target) {
        lua_pushvalue(L, 1);
        return face_return(L, t, l_task_push_ended(L, f));
    }
    int r = sched_park(t, &kind_join, target, deadline, 0);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    list_push(&target->joiners, &t->wait.self.link);
    return face_park(L, t);
}

/* results(task) -> true, results... | nil, error, traceback; only of a task that has ended */
static int l_results(lua_State *L)
{
    struct task_face *f = self(L, 1);
    luaL_argcheck(L, !f->task, 1, "the task has not ended");
    lua_settop(L, 1);
    if (f->failed)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 1);
    if (f->values > 0) {
        lua_getfenv(L, 1);
        luaL_checkstack(L, f->values + 1, "too many results");
        for (int i = 1; i <= f->values; i++)
            lua_rawgeti(L, 3, i);
        lua_remove(L, 3);
    } else if (f->failed) {
        /* An error that was lost for lack of memory has no values. */
        lua_pushstring(L, f->values < 0 ? errors_text(-ENOMEM) : "killed");
    }
    return lua_gettop(L) - 1;
}

/* ---- methods ---- */

static int l_cancel(lua_State *L)
{
    struct task *t = self(L, 1)->task;
    if (t)
        sched_cancel(t);
    return 0;
}

static int l_status(lua_State *L)
{
    static const char *const names[] = {"ready", "running", "parked"};
    const struct task_face *f = self(L, 1);
    lua_pushstring(L, f->task ? names[f->task->state] : f->failed ? "failed" : "done");
    return 1;
}

static int l_id(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)self(L, 1)->id);
    return 1;
}

/* site() -> {"file.lua:3", ...}: where it was started, innermost frame first */
static int l_site(lua_State *L)
{
    site_push(L, self(L, 1)->site);
    return 1;
}

/* is_canceled(task): was it, or a scope it is in, cancelled */
static int l_is_canceled(lua_State *L)
{
    const struct task_face *f = self(L, 1);
    bool canceled = f->task ? f->task->canceled : f->canceled;
    for (struct scope *sc = f->task ? f->task->scope : NULL; sc && !canceled; sc = sc->outer)
        canceled = sc->canceled;
    lua_pushboolean(L, canceled);
    return 1;
}

/* is_awaited(task): was a task waiting for it when it ended, which learns of it */
static int l_is_awaited(lua_State *L)
{
    lua_pushboolean(L, self(L, 1)->awaited);
    return 1;
}

/* current() -> the calling task, or nil */
static int l_current(lua_State *L)
{
    struct task *t = face_running(face_ctx(L));
    if (!t)
        return 0;
    l_task_push(L, t);
    return 1;
}

/* ---- sleep, yield ---- */

static int push_slept(lua_State *L, struct task *t)
{
    return face_result(L, t->wait.result == ERR_TIMEOUT ? 0 : t->wait.result);
}

static const struct wait_kind kind_sleep = {.name = "sleep", .push = push_slept};

static int yield_now(lua_State *L, struct task *t)
{
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    sched_give_way(t);
    return face_park(L, t);
}

/* sleep(seconds) -> true | nil, "canceled" */
static int l_sleep(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    (void)face_number(L, 1);
    int64_t deadline = face_deadline_in(L, 1, cx);
    struct task *t = face_task(L, cx);
    if (deadline < 0)
        return yield_now(L, t);
    int r = sched_park(t, &kind_sleep, NULL, deadline, 0);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    return face_park(L, t);
}

/* yield() -> true | nil, "canceled" */
static int l_yield(lua_State *L)
{
    return yield_now(L, face_task(L, face_ctx(L)));
}

/* yield_generator(...): what a patched coroutine.yield is. Nobody resumes a task with what it yields, unless it passes
 * on the park of a generator, as libraries with a resume of their own do. */
static int l_yield_generator(lua_State *L)
{
    struct task *t = face_running(face_ctx(L));
    if (t && t->L == L && t->state == TASK_RUNNING)
        return luaL_error(L, "coroutine.yield called in a task, outside any generator: use moonpark.yield()");
    return lua_yield(L, lua_gettop(L));
}

/* Raises at the line of our caller's caller; the caller is coroutines.lua. */
static int refuse_pass(lua_State *L, const char *why)
{
    luaL_where(L, 2);
    lua_pushstring(L, why);
    lua_concat(L, 2);
    return lua_error(L);
}

/* pass(token, ...): what a patched coroutine.resume does with a park of the generator it runs. */
static int l_pass(lua_State *L)
{
    struct task *t = face_running(face_ctx(L));
    const char *wrong = NULL;
    if (!t || t->state == TASK_RUNNING)
        return refuse_pass(L, "a generator yielded moonpark's token without waiting");
    if (!face_is_parked(L, t))
        wrong = "a generator's wait was passed on without all its values";
    else if (!lua_isyieldable(L))
        wrong = "a generator cannot wait here: attempt to yield across a C call "
                "(table.sort, string.gsub, a finalizer, ...)";
    if (!wrong)
        return lua_yield(L, t->held);
    face_unpark(t);
    return refuse_pass(L, wrong);
}

/* ---- scopes ---- */

/* scope_open(shield) -> scope */
static int l_scope_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    bool shield = lua_toboolean(L, 1);
    struct task *t = face_task(L, cx);
    struct scope_face *f = face_new(L, FACE_META_SCOPE, sizeof *f);
    f->mark = &scope_mark;
    f->scope = sched_scope_open(t, shield);
    if (!f->scope)
        return luaL_error(L, "%s", errors_text(-ENOMEM));
    f->scope->handle = &f->scope;
    return 1;
}

/* scope:close() -> did its cancelling refuse a wait */
static int l_scope_close(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    luaL_argcheck(L, !f->scope || !sched_scope_joined(f->scope), 1, "the scope is already waiting for its children");
    bool delivered = f->scope && f->scope->delivered;
    if (f->scope)
        sched_scope_close(f->scope);
    lua_pushboolean(L, delivered);
    return 1;
}

static int l_scope_gc(lua_State *L)
{
    struct scope_face *f = face_test(L, 1, &scope_mark, sizeof *f);
    if (f && f->scope)
        sched_scope_abandon(f->scope);
    return 0;
}

/* scope:deadline_in(seconds): cancels the scope then */
static int l_scope_deadline_in(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct scope_face *f = scope_self(L, 1);
    int64_t when = face_deadline_in(L, 2, cx);
    luaL_argcheck(L, f->scope, 1, "the scope is closed");
    if (when < 0)
        sched_scope_cancel(f->scope);
    else if (when > 0 && sched_scope_deadline(f->scope, when) < 0)
        return luaL_error(L, "%s", errors_text(-ENOMEM));
    return 0;
}

static int l_scope_cancel(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    if (f->scope)
        sched_scope_cancel(f->scope);
    return 0;
}

static int l_scope_is_canceled(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    lua_pushboolean(L, f->scope && f->scope->canceled);
    return 1;
}

/* Pushes the task that is stored in the scope's environment; or a value that is not a task. */
static void push_blamed(lua_State *L)
{
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, ENDED_TASK);
}

/* scope:blame(task): that task failed; the first one counts. Needs no memory: the scope shares its environment. */
static int l_scope_blame(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    const struct task_face *t = self(L, 2);
    f->broken |= t->values <= 0;
    push_blamed(L);
    if (t->values > 0 && !l_task_is(L, -1)) {
        lua_getfenv(L, 2);
        lua_setfenv(L, 1);
    }
    return 0;
}

/* scope:blamed() -> the first of its tasks that failed; or true if its error is not known; or false */
static int l_scope_blamed(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    push_blamed(L);
    if (!l_task_is(L, -1))
        lua_pushboolean(L, f->broken);
    return 1;
}

/* Lets a child's end find the scope's userdata. */
static void remember_scope(lua_State *L, struct scope_face *f)
{
    if (f->remembered)
        return;
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_SCOPES);
    lua_pushlightuserdata(L, f->scope);
    lua_pushvalue(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    f->remembered = true;
}

void l_task_push_scope(lua_State *L, const struct scope *sc)
{
    if (!sc) {
        lua_pushnil(L);
        return;
    }
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_SCOPES);
    lua_pushlightuserdata(L, (void *)sc);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

static struct scope_face *open_scope(lua_State *L)
{
    struct scope_face *f = scope_self(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, f->scope, 1, "the scope is closed: start its tasks before it returns");
    remember_scope(L, f);
    return f;
}

/* scope:start(fn, ...) -> task */
static int l_scope_start(lua_State *L)
{
    struct scope_face *f = open_scope(L);
    l_task_start(L, face_ctx(L), lua_gettop(L) - 1, f->scope);
    return 1;
}

/* scope:hand_over(fn, connection) -> task: runs fn(connection); when it ends, in any way, the connection is
 * closed. The connection is beneath fn on the coroutine's stack, which keeps it alive: so fn needs no frame of a
 * protected call, and that keeps the memory of an idle connection small. */
static int l_scope_hand_over(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct scope_face *f = open_scope(L);
    struct conn *c = l_conn_test(L, 3);
    luaL_argcheck(L, c, 3, "connection expected");
    lua_settop(L, 3);
    lua_pushvalue(L, 3);
    lua_insert(L, 2);
    struct task *t = l_task_start(L, cx, 3, f->scope);
    t->values = 1;
    t->owned = c;
    return 1;
}

/* scope:join(): parks until its tasks have ended; only for the task that opened it */
static int l_scope_join(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct scope_face *f = scope_self(L, 1);
    struct task *t = face_task(L, cx);
    luaL_argcheck(L, f->scope, 1, "the scope is closed");
    luaL_argcheck(L, f->scope->owner == t, 1, "the scope belongs to another task");
    if (sched_scope_join(f->scope) == SCHED_PARKED)
        return face_park(L, t);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg task_methods[] = {
    {"await", l_await}, {"cancel", l_cancel}, {"id", l_id}, {"is_awaited", l_is_awaited},
    {"is_canceled", l_is_canceled}, {"results", l_results}, {"site", l_site}, {"status", l_status},
    {NULL, NULL},
};

static const luaL_Reg scope_methods[] = {
    {"__gc", l_scope_gc},
    {"blame", l_scope_blame},
    {"blamed", l_scope_blamed},
    {"cancel", l_scope_cancel},
    {"close", l_scope_close},
    {"deadline_in", l_scope_deadline_in},
    {"hand_over", l_scope_hand_over},
    {"is_canceled", l_scope_is_canceled},
    {"join", l_scope_join},
    {"start", l_scope_start},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"current", l_current}, {"go", l_go}, {"go_daemon", l_go_daemon}, {"go_inside", l_go_inside},
    {"go_now", l_go_now}, {"pass", l_pass}, {"recall", l_recall}, {"scope_open", l_scope_open}, {"sleep", l_sleep},
    {"yield", l_yield}, {"yield_generator", l_yield_generator}, {NULL, NULL},
};

void l_task_open(lua_State *L)
{
    face_class(L, FACE_META_TASK, "moonpark.task", task_methods);
    face_class(L, FACE_META_SCOPE, "moonpark.scope", scope_methods);
    face_functions(L, functions);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_SCOPES);
    l_slots_open(L);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_TASK);
    lua_setfield(L, -2, "task_class");
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_SCOPE);
    lua_setfield(L, -2, "scope_class");
}
