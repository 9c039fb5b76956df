/* SPDX-License-Identifier: MIT */
/* l_run.c - the runner: runs the loop from Lua.
 *
 * It finishes a woken task's operation (attempt, push), resumes its coroutine and checks how that came back.
 * Errors on the loop's own Lua stack (out of memory, a finalizer of the script) can occur while results are
 * built: they are caught here, and no coroutine is lost.
 *
 *   phase    an error on the loop's stack means             therefore
 *   IDLE     a hook of the Lua side raised                  it is reported, and the loop continues
 *   PUSH     the results could not be built                 they are built again, finally given up as ENOMEM
 *   ENDED    the results of an ended task were not kept     the task fails with that error, and tasks that
 *                                                           wait for it get that one */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/hard.h"
#include "loop/signals.h"
#include "lua/l_detached.h"
#include "lua/l_signal.h"
#include "lua/l_task.h"
#include "lua/l_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PHASE_IDLE, PHASE_PUSH, PHASE_ENDED };
enum { TRIES = 3, REPORTED = 4096 }; /* bytes of an error, at most */
enum { HEEDLESS = 10000 };           /* waits in a row that a cancellation refuses: no task that ends has so many */

static struct ctx *of_loop(struct loop *l) { return container_of(l, struct ctx, loop); }

static void report(struct ctx *cx, const char *what, const char *message)
{
    char line[REPORTED];
    int n = snprintf(line, sizeof line - 1, "moonpark: %s: %s", what, message ? message : "(error object)");
    size_t length = base_min((size_t)n, sizeof line - 2);
    line[length] = '\n';
    (void)l_writer_put(cx, STDERR_FILENO, &(struct iovec){line, length + 1}, 1, 0);
}

/* ---- ending ---- */

/* Keeps a task's n results, which are on its own stack, for tasks that join it. */
static void keep_results(lua_State *L, struct task *t)
{
    if (t->owned)
        lua_remove(t->L, 1); /* the connection, beneath the function */
    int n = lua_gettop(t->L);
    t->values = n;
    if (n == 0)
        return;
    l_task_push(L, t);
    lua_createtable(L, n, 0);
    for (int i = n; i > 0; i--) {
        lua_xmove(t->L, L, 1);
        lua_rawseti(L, -2, i);
    }
    lua_setfenv(L, -2);
    lua_pop(L, 1);
}

/* Keeps the error on top of the loop's stack, and the traceback of the coroutine that raised it. */
static void keep_error(lua_State *L, struct task *t)
{
    l_task_push(L, t);
    lua_createtable(L, ENDED_TASK, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    luaL_traceback(L, t->L, NULL, 0);
    lua_rawseti(L, -2, 2);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, ENDED_TASK);
    lua_setfenv(L, -2);
    lua_pop(L, 2);
    t->values = 2;
    t->failed = true;
}

/* Pushes the hook and its first arguments: the task and its scope. They are gone after the task's end. */
static void push_ended(lua_State *L, const struct task *t)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_ENDED);
    l_task_push(L, t);
    l_task_push_scope(L, t->parent);
}

/* Pushes the last argument: the connection that was handed over, as text. */
static void push_handed(lua_State *L, const struct task *t)
{
    char text[3 * ADDR_TEXT_MAX];
    if (t->owned && conn_describe(t->owned, text, sizeof text))
        lua_pushstring(L, text);
    else
        lua_pushnil(L);
}

/* Calls function(task, scope, connection): tells the Lua side about failures. */
static void call_ended_hook(lua_State *L)
{
    if (lua_isfunction(L, -4))
        lua_call(L, 3, 0);
    else
        lua_pop(L, 4);
}

/* A task may have changed its thread's globals; the next one in this coroutine must not see it. */
static void restore_globals(lua_State *L, lua_State *co)
{
    if (lua_topointer(co, LUA_GLOBALSINDEX) == lua_topointer(L, LUA_GLOBALSINDEX))
        return;
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_setfenv(L, -2);
    lua_pop(L, 1);
}

static void succeeded(lua_State *L, struct ctx *cx, struct task *t)
{
    keep_results(L, t);
    cx->phase = PHASE_IDLE;
    restore_globals(L, t->L);
    l_task_end(L, cx, t, true);
}

/* The task's error has been kept. */
static void end_failed(lua_State *L, struct ctx *cx, struct task *t)
{
    push_ended(L, t);
    push_handed(L, t);
    cx->phase = PHASE_IDLE;
    l_task_end(L, cx, t, false);
    call_ended_hook(L);
}

/* The error is on top of the loop's stack. */
static void failed(lua_State *L, struct ctx *cx, struct task *t)
{
    keep_error(L, t);
    end_failed(L, cx, t);
}

static void raised(lua_State *L, struct ctx *cx, struct task *t)
{
    if (t->state != TASK_RUNNING)
        face_unpark(t);
    lua_xmove(t->L, L, 1);
    failed(L, cx, t);
}

/* It yielded, but not in one of our waits. */
static void yielded_astray(lua_State *L, struct ctx *cx, struct task *t)
{
    bool waiting = t->state != TASK_RUNNING;
    if (waiting)
        face_unpark(t);
    lua_pushstring(L, waiting ? "a generator's wait was lost: the generator was resumed without moonpark's "
                                "knowledge (by a coroutine.resume saved before moonpark was loaded?)"
                              : "coroutine.yield called in a task, outside any generator: "
                                "use moonpark.yield()");
    failed(L, cx, t);
}

static void came_back(lua_State *L, struct ctx *cx, struct task *t, int status)
{
    if (status == LUA_YIELD && t->state != TASK_RUNNING && face_is_parked(t->L, t)) {
        cx->phase = PHASE_IDLE;
        cx->loop.sched.running = NULL;
        return;
    }
    cx->phase = PHASE_ENDED;
    if (status == LUA_YIELD)
        yielded_astray(L, cx, t);
    else if (status == 0 && t->state == TASK_RUNNING)
        succeeded(L, cx, t);
    else if (status == 0)
        yielded_astray(L, cx, t);
    else
        raised(L, cx, t);
}

/* ---- running ---- */

static int push_results(lua_State *L, struct task *t)
{
    if (t->wait.kind->push)
        return t->wait.kind->push(L, t);
    return face_result(L, t->wait.result);
}

/* The only place that resumes. A suspended coroutine's stack may hold only the n results, whatever it yielded: LuaJIT
 * on some CPUs returns everything that is there. (A new one has its function beneath them, and what it owns.) */
static void resume(lua_State *L, struct ctx *cx, struct task *t, int n)
{
    must(lua_gettop(t->L) == n || lua_status(t->L) != LUA_YIELD);
    t->values = -1;
    cx->tries = 0;
    cx->phase = PHASE_ENDED;
    came_back(L, cx, t, lua_resume(t->L, n));
}

/* Takes the n results on top of L. Drops the operation's values on the task's stack: the operation has ended. */
static void resume_with(lua_State *L, struct ctx *cx, struct task *t, int n)
{
    lua_settop(t->L, 0);
    lua_xmove(L, t->L, n);
    resume(L, cx, t, n);
}

/* `true` needs no memory, so it is made where it is wanted. */
static void resume_with_true(lua_State *L, struct ctx *cx, struct task *t)
{
    lua_settop(t->L, 0);
    lua_pushboolean(t->L, 1);
    resume(L, cx, t, 1);
}

static void push_and_resume(lua_State *L, struct ctx *cx, struct task *t)
{
    if (!t->wait.kind->push && t->wait.result >= 0) {
        resume_with_true(L, cx, t);
        return;
    }
    cx->phase = PHASE_PUSH;
    resume_with(L, cx, t, push_results(L, t));
}

/* Removes all but the n values on top, where they are: half the cost of a way over the loop's stack. */
static void keep_top(lua_State *co, int n)
{
    int beneath = lua_gettop(co) - n;
    if (beneath < n) {
        while (beneath-- > 0)
            lua_remove(co, 1);
        return;
    }
    for (int i = n; i > 0; i--)
        lua_replace(co, i);
    lua_settop(co, n);
}

/* It has its values already, on its own stack: results above what it yielded, or its first arguments. */
static void resume_in_hand(lua_State *L, struct ctx *cx, struct task *t)
{
    int n = t->values;
    if (lua_status(t->L) != LUA_YIELD) {
        resume(L, cx, t, n);
        return;
    }
    keep_top(t->L, n);
    resume(L, cx, t, n);
}

/* A cancelled task that waits again and again, as if it slept: calls function(task, coroutine), once. An error there
 * must not come between the task and its turn. */
static void call_heedless_hook(struct ctx *cx, struct task *t)
{
    lua_State *L = cx->L;
    t->heedless = true;
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_HEEDLESS);
    l_task_push(L, t);
    lua_pushthread(t->parked);
    lua_xmove(t->parked, L, 1);
    if (!lua_isfunction(L, -3))
        lua_pop(L, 3);
    else if (lua_pcall(L, 2, 0, 0) != 0)
        lua_pop(L, 1);
}

static void run_task(struct loop *l, struct task *t)
{
    struct ctx *cx = of_loop(l);
    if (t->refused >= HEEDLESS && !t->heedless)
        call_heedless_hook(cx, t);
    if (t->values >= 0) {
        resume_in_hand(cx->L, cx, t);
        return;
    }
    t->op.stack = t->L;
    t->op.base = FACE_ARGUMENT;
    if (t->wait.kind->attempt) {
        int r = t->wait.kind->attempt(t);
        if (r == SCHED_PARKED) {
            l->sched.running = NULL;
            return;
        }
        t->wait.result = r;
    }
    cx->tries = 0;
    push_and_resume(cx->L, cx, t);
}

/* About to block: lets the Lua side handle what it was told. */
static void call_idle_hook(struct loop *l)
{
    struct ctx *cx = of_loop(l);
    if (!cx->watch_idle)
        return;
    lua_rawgeti(cx->L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_IDLE);
    lua_pushboolean(cx->L, 1);
    lua_call(cx->L, 1, 0);
}

/* One per turn: if the hook raises, the others are not lost. A script's subscriptions come before the hook. */
static void deliver_signal(struct loop *l)
{
    lua_State *L = of_loop(l)->L;
    int signo = signals_take(l->poller);
    if (!signo)
        return;
    l->poller->ops->wake(l->poller);
    l_detached_signaled(of_loop(l), signo);
    if (l_signal_deliver(of_loop(l), signo))
        return;
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_SIGNAL);
    lua_pushinteger(L, signo);
    if (lua_isfunction(L, -2))
        lua_call(L, 1, 0);
    else
        lua_pop(L, 2);
}

/* ---- when the loop's own stack raises ---- */

static void give_up_push(lua_State *L, struct ctx *cx, struct task *t)
{
    cx->phase = PHASE_IDLE;
    lua_pushnil(L);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_NO_MEMORY);
    lua_pushinteger(L, ENOMEM);
    resume_with(L, cx, t, 3);
}

/* Without memory the hook is still called: other tasks may be waiting for what this task held. */
static void end_anyhow(lua_State *L, struct ctx *cx, struct task *t)
{
    bool tell = cx->phase == PHASE_ENDED;
    if (tell) {
        push_ended(L, t);
        if (t->owned)
            lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_NO_MEMORY);
        else
            lua_pushnil(L);
        t->values = t->failed ? t->values : -1;
    }
    t->failed = true;
    cx->phase = PHASE_IDLE;
    l_task_end(L, cx, t, false);
    if (tell)
        call_ended_hook(L);
}

/* The message is on top of L. Runs in its own protected call; may raise and be called again. */
static void recover(lua_State *L, struct ctx *cx)
{
    struct task *t = cx->loop.sched.running;
    const char *message = lua_tostring(L, 1);
    uint8_t phase = cx->phase;
    if (!t) {
        cx->phase = PHASE_IDLE;
        report(cx, "error in a hook or finalizer", message);
    } else if (phase == PHASE_PUSH && ++cx->tries < TRIES) {
        push_and_resume(L, cx, t);
    } else if (phase == PHASE_PUSH) {
        give_up_push(L, cx, t);
    } else if (phase == PHASE_ENDED && ++cx->tries < TRIES) {
        if (!t->failed)
            keep_error(L, t); /* this error replaces the one that could not be kept */
        end_failed(L, cx, t);
    } else {
        report(cx, "error while a task was ending", message);
        end_anyhow(L, cx, t);
    }
}

/* Runs turns until the loop has nothing more to do: -> enum loop_state or a negative code. */
static int turns(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    cx->L = L;
    if (cx->interrupted) {
        cx->interrupted = false;
        recover(L, cx);
        lua_settop(L, 0);
    }
    int r;
    while ((r = loop_turn(&cx->loop)) == LOOP_GOES_ON)
        must(lua_gettop(L) == 0); /* anything left here would stay as long as the loop runs */
    lua_pushinteger(L, r);
    return 1;
}

/* The same, protected, and again after every error. Allocates nothing: a task that was started runs. */
static int run_turns(lua_State *L, struct ctx *cx)
{
    lua_State *before = cx->L;
    for (;;) {
        lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_TURNS);
        if (cx->interrupted)
            lua_insert(L, -2); /* the message */
        int status = lua_pcall(L, cx->interrupted, 1, 0);
        cx->L = before;
        if (status == 0)
            break;
        cx->interrupted = true;
    }
    int r = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return r;
}

static const char *const states[] = {"goes on", "ended", "deadlock", "stopped"};

/* run(fn, ...) -> the main task, "ended" | "deadlock" | "stopped"; returns when no task can continue, or
 * when it was stopped */
static int l_run(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    if (cx->L)
        return luaL_error(L, "moonpark.run: the loop is already running");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    cx->loop.run = run_task;
    cx->loop.woken = deliver_signal;
    cx->loop.idle = call_idle_hook;
    loop_now(&cx->loop);
    l_task_start(L, cx, lua_gettop(L), NULL);
    int r = run_turns(L, cx);
    if (r < 0)
        return luaL_error(L, "moonpark.run: the poller failed: %s", errors_text(r));
    lua_pushstring(L, states[r]);
    return 2;
}

/* go_on() -> as run: continues with the tasks left by a run that did not end normally */
static int l_go_on(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    if (cx->L)
        return luaL_error(L, "the loop is already running");
    int r = run_turns(L, cx);
    if (r < 0)
        return luaL_error(L, "moonpark.run: the poller failed: %s", errors_text(r));
    lua_pushstring(L, states[r]);
    return 1;
}

/* stop(): makes this turn the last one: run or go_on returns "stopped", even if tasks are parked */
static int l_stop(lua_State *L)
{
    face_ctx(L)->loop.until = 1;
    return 0;
}

/* limit([seconds]): the same after that much real time, whatever virtual time does; nil: never */
static int l_limit(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    int64_t timeout = face_timeout(L, 1);
    cx->loop.until = timeout < 0 ? 0 : clock_add(clock_real(), timeout);
    return 0;
}

static int l_is_running(lua_State *L)
{
    lua_pushboolean(L, face_ctx(L)->L != NULL);
    return 1;
}

static void kill_task(lua_State *L, struct ctx *cx, struct task *t)
{
    cx->loop.sched.running = t;
    face_unpark(t);
    t->failed = true;
    t->values = 0;
    l_task_end(L, cx, t, false);
}

/* kill(task): ends it without running it again. Only while the loop does not run. */
static int l_kill(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    luaL_argcheck(L, l_task_is(L, 1), 1, "task expected");
    struct task *t = l_task_test(L, 1);
    if (cx->L)
        return luaL_error(L, "the loop is running");
    if (t)
        kill_task(L, cx, t);
    return 0;
}

/* kill_all(): the same with every task */
static int l_kill_all(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    if (cx->L)
        return luaL_error(L, "the loop is running");
    for (uint32_t slot = 1; slot <= cx->slots; slot++) {
        lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_task_key(slot));
        struct task *t = l_task_test(L, -1);
        if (t)
            kill_task(L, cx, t);
        lua_pop(L, 1);
    }
    return 0;
}

/* on_ended(fn): fn(task, scope, connection) for each task that failed */
static int l_on_ended(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_ENDED);
    return 0;
}

/* on_heedless(fn): fn(task, coroutine) on the loop's own stack, for a cancelled task that goes on */
static int l_on_heedless(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_HEEDLESS);
    return 0;
}

/* on_idle(fn): while watch_idle is on, fn(true) is called before the loop blocks, and fn(false) at its time */
static int l_on_idle(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_IDLE);
    return 0;
}

/* The loop may be too busy to block. */
static void idle_timer_passed(struct timer *timer)
{
    lua_State *L = container_of(timer, struct ctx, idle_timer)->L;
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_IDLE);
    lua_pushboolean(L, 0);
    lua_call(L, 1, 0);
}

/* watch_idle(on[, at]): whether on_idle's function is called; it is also called at the time `at`, even if the loop
 * blocks for longer or not at all. That is not a wait: runs still end, and a deadlock is still one. */
static int l_watch_idle(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    bool timed = lua_toboolean(L, 1) && !lua_isnoneornil(L, 2);
    cx->watch_idle = lua_toboolean(L, 1);
    if (!cx->opened)
        return 0;
    cx->idle_timer.fire = idle_timer_passed;
    timers_del(&cx->loop.timers, &cx->idle_timer);
    if (timed) /* no memory: at the next opportunity */
        (void)timers_set(&cx->loop.timers, &cx->idle_timer, clock_ns(face_number(L, 2)));
    return 0;
}

static const luaL_Reg functions[] = {
    {"go_on", l_go_on},       {"is_running", l_is_running}, {"kill", l_kill},
    {"kill_all", l_kill_all}, {"limit", l_limit},           {"on_ended", l_on_ended},
    {"on_heedless", l_on_heedless}, {"on_idle", l_on_idle}, {"run", l_run},
    {"stop", l_stop},         {"watch_idle", l_watch_idle}, {NULL, NULL},
};

void l_run_open(lua_State *L)
{
    face_functions(L, functions);
    lua_pushvalue(L, lua_upvalueindex(FACE_UP_CONTEXT));
    lua_pushvalue(L, lua_upvalueindex(FACE_UP_ANCHORS));
    lua_pushcclosure(L, turns, 2);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_TURNS);
    lua_pushstring(L, errors_text(-ENOMEM));
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_NO_MEMORY);
}
