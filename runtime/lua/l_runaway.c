/* SPDX-License-Identifier: MIT */
/* l_runaway.c - tasks that do not wait: tells of them, stops them, and ends the process that cannot be stopped.
 *
 * A ticker runs while the loop runs tasks, and stops itself when it finds the loop waiting. Its signal compares the
 * heartbeat with what it saw before. If one task has held the loop for too long, it sets a hook, which runs at the next
 * instruction and may do what a signal handler may not: write a traceback, raise an error.
 *
 * Compiled code checks no hooks: l_interrupt.c makes it leave for the interpreter.
 *
 * While a C function runs, no hook does. If several ticks were not answered, the handler itself looks at the stacks,
 * and writes what it finds.
 *
 * The second SIGUSR1 or SIGQUIT that arrives while one task holds the loop asks where it is: ticks come then, even if
 * there are no limits.
 *
 *   held for        the tick asks for    the hook
 *   a tick          NOTE                 remembers the line
 *   (two signals)   SHOW                 calls the Lua side with a traceback
 *   slow           WARN                 calls the Lua side with a traceback
 *   limit           STOP                 raises, once, where the script's own code runs
 *   grace later     DRIVE_OUT            raises at each instruction while the script's own code is on the stack
 *   grace later     STOP_ANYWHERE        raises at each instruction
 *   stuck           END                  calls the Lua side, then ends the process */
#include "lua/faces.h"

#include "base/sys.h"
#include "base/ticker.h"
#include "base/trail.h"
#include "loop/signals.h"
#include "lua/l_interrupt.h"
#include "lua/l_runaway.h"
#include "lua/l_trail.h"

#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { UNANSWERED = 4, EXIT_STATUS = 70 };
static const int64_t PERIOD_MIN = NS_PER_SECOND / 1000, PERIOD_MAX = NS_PER_SECOND / 4;
static const int64_t PERIOD_ASKED = NS_PER_SECOND / 50; /* if there are no limits */

enum wish { NOTE, SHOW, WARN, STOP, DRIVE_OUT, STOP_ANYWHERE, END };

/* Timer, signals and hook belong to the process: one Lua state at a time. */
static struct {
    struct ctx *cx; /* NULL: off */
    lua_State *L;   /* a thread of our own: sets hooks */
    int anchor;     /* references to it, */
    int teller;     /* and to a C function */
    int64_t slow, limit, stuck; /* ns; 0: off */
    int64_t period, grace;
    lua_Hook hook;         /* the script's, while ours is set */
    int mask, count;
    bool inside; /* a tick is being handled */
    int nested;  /* ticks that came meanwhile */
} watch;

/* Of the task that runs now. */
static struct {
    uint32_t resumes; /* which one it is */
    int64_t held;     /* ns: for so long at least */
    int64_t last;     /* when that was counted */
    int64_t stopping; /* held, when the error was raised, or could not be yet; 0: neither */
    int unanswered;   /* wishes in a row */
    bool raised;      /* the error was */
    bool warned;      /* it was told of, or too many others were: */
    int64_t told;     /* held, when it was told of; 0: it was not */
    uint64_t id;      /* the task's */
    enum wish wish;
    char line[L_TRAIL_LINE]; /* the last one that is known; "": none */
} now;

/* What two signals have asked for. */
static struct {
    uint32_t resumes[2]; /* which task ran when the first one arrived: SIGUSR1's, SIGQUIT's */
    volatile int signo;  /* the second one; 0: none, or it was answered */
} asked;

static bool has_limits(void) { return watch.slow || watch.limit || watch.stuck; }

/* ---- the hook ---- */

static void answer(lua_State *L, lua_Debug *ar);

/* If another hook was set meanwhile, it stays. */
static void take_back(void)
{
    if (lua_gethook(watch.L) == answer)
        lua_sethook(watch.L, watch.hook, watch.mask, watch.count);
}

/* Set twice, because LuaJIT may have been in the middle of preparing its dispatch for other hooks. */
static void set_hook(void)
{
    if (lua_gethook(watch.L) != answer) {
        watch.hook = lua_gethook(watch.L);
        watch.mask = lua_gethookmask(watch.L);
        watch.count = lua_gethookcount(watch.L);
    }
    lua_sethook(watch.L, NULL, 0, 0);
    lua_sethook(watch.L, answer, LUA_MASKCALL | LUA_MASKCOUNT, 1);
}

static void note_line(lua_State *L, lua_Debug *ar)
{
    struct trail_text text = {.length = 0};
    int level = 0;
    for (; *ar->what == 'C' || ar->currentline < 0; level++)
        if (!lua_getstack(L, level, ar) || !lua_getinfo(L, "Sl", ar))
            return;
    trail_put(&text, ar->short_src);
    trail_put(&text, ":");
    trail_put_number(&text, (uint64_t)ar->currentline);
    memcpy(now.line, text.bytes, sizeof now.line - 1);
}

/* Calls the Lua side. The last argument is on top of the stack and stays there. An error in there is its own affair.
 * Returns whether something was written. */
static bool tell(lua_State *L, const char *what)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, watch.teller);
    lua_pushlightuserdata(L, (void *)what);
    lua_pushvalue(L, -3);
    bool written = lua_pcall(L, 2, 1, 0) == 0 && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return written;
}

static bool is_own_code(const lua_Debug *ar)
{
    return *ar->what == 'C' || (*ar->source == '@' && site_is_own(&watch.cx->sites, ar->source + 1));
}

/* Pushes "file.lua:3: ": the innermost line that is the script's. */
static void push_where(lua_State *L)
{
    lua_Debug ar;
    int level = 0;
    while (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) && is_own_code(&ar))
        level++;
    luaL_where(L, level);
}

static void raise_limit(lua_State *L)
{
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%g", (double)watch.limit / 1e9);
    push_where(L);
    lua_pushfstring(L, "ran for %s s without waiting", seconds);
    lua_concat(L, 2);
    if (now.wish == STOP)
        (void)tell(L, "limit");
    lua_error(L);
}

static bool runs_script(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar); level++)
        if (!is_own_code(&ar))
            return true;
    return false;
}

/* The first error is raised in the script's code, so that it never cuts our own in the middle. Those that drive the
 * script out stop where only ours is left: a worker of HTTP has to answer for its handler. */
static void stop(lua_State *L, const lua_Debug *ar)
{
    bool spared = now.wish == STOP ? is_own_code(ar) : now.wish == DRIVE_OUT && !runs_script(L);
    if (!now.stopping || (now.wish == STOP && !spared))
        now.stopping = now.held;
    if (spared)
        return;
    if (now.wish == STOP)
        take_back();
    now.raised = true;
    raise_limit(L);
}

static void set_ticks(void) { ticker_set(has_limits() || asked.signo ? watch.period : 0); }

/* After SIGQUIT the process ends, as it does if nobody catches the signal. */
static void end_asking(void)
{
    int signo = asked.signo;
    asked.signo = 0;
    set_ticks();
    if (signo != SIGQUIT)
        return;
    signals_default(signo);
    (void)raise(signo);
}

/* The task is where a hook runs: what was wished for is told. */
static void report(lua_State *L)
{
    enum wish wish = now.wish;
    if (wish == NOTE || (wish == WARN && now.warned) || (wish == SHOW && !asked.signo))
        return;
    lua_pushnil(L);
    bool written = tell(L, wish == SHOW ? "show" : wish == WARN ? "slow" : "stuck");
    lua_pop(L, 1);
    now.told = wish == WARN && written ? now.held : now.told;
    now.warned |= wish == WARN;
    if (wish == SHOW)
        end_asking();
    else if (wish == END)
        _exit(EXIT_STATUS);
}

/* In the loop's own Lua it stays: what the task has called there comes back. */
static void answer(lua_State *L, lua_Debug *ar)
{
    struct loop *l = &watch.cx->loop;
    if (!l->sched.running || l->beat->resumes != now.resumes) {
        take_back();
        return;
    }
    if (L == watch.cx->L)
        return;
    now.unanswered = 0;
    lua_getinfo(L, "Sl", ar);
    if (now.wish > WARN && now.wish < END)
        stop(L, ar);
    if (now.wish > WARN && now.wish < END)
        return;
    take_back();
    note_line(L, ar);
    report(L);
}

/* teller(what, err): in the task: calls function(what, seconds, traceback, err). Upvalue 3 is the function. */
static int teller(lua_State *L)
{
    const char *what = lua_touserdata(L, 1);
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_pushstring(L, what);
    lua_pushnumber(L, (lua_Number)now.held / 1e9);
    luaL_traceback(L, L, NULL, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 4, 1);
    return 1;
}

/* ---- what a signal handler can tell ---- */

static void tell_from_handler(const struct task *t, bool with_time)
{
    struct trail_text text = {.length = 0};
    trail_put(&text, "moonpark: ");
    l_trail_task(&text, t);
    trail_put(&text, with_time ? ", has held the loop for " : ", holds the loop");
    if (with_time)
        trail_put_seconds(&text, now.held);
    l_trail_place(&text, t, now.line, sizeof now.line);
    trail_put(&text, "\n");
    l_trail_write(&text);
}

static void end_from_handler(const struct task *t)
{
    struct trail_text text = {.length = 0};
    tell_from_handler(t, true);
    l_trail_tasks(watch.cx);
    trail_put(&text, "moonpark: the process ends: a task has held the loop for ");
    trail_put_seconds(&text, now.held);
    trail_put(&text, "\n");
    l_trail_write(&text);
    _exit(EXIT_STATUS);
}

/* ---- ticks ---- */

static void ask(enum wish wish)
{
    now.wish = wish;
    now.unanswered++;
    set_hook();
    l_interrupt_now();
}

/* Once the report is longer ago than ticks are apart. */
static void tell_end(void)
{
    struct trail_text text = {.length = 0};
    if (!now.told || now.held <= now.told + watch.period)
        return;
    trail_put(&text, "moonpark: task ");
    trail_put_number(&text, now.id);
    trail_put(&text, " held the loop for ");
    trail_put_seconds(&text, now.held);
    trail_put(&text, " in all\n");
    l_trail_write(&text);
}

static void show(const struct task *t, bool deaf)
{
    if (!deaf) {
        ask(SHOW);
        return;
    }
    tell_from_handler(t, false);
    end_asking();
}

static void judge(const struct task *t)
{
    bool deaf = now.unanswered >= UNANSWERED;
    if (asked.signo) {
        show(t, deaf);
        return;
    }
    if (watch.stuck && now.held >= watch.stuck && deaf)
        end_from_handler(t);
    if (watch.stuck && now.held >= watch.stuck)
        ask(END);
    else if (now.stopping && now.held >= now.stopping + 2 * watch.grace)
        ask(STOP_ANYWHERE);
    else if (now.stopping && now.held >= now.stopping + watch.grace)
        ask(DRIVE_OUT);
    else if (watch.limit && now.held >= watch.limit && !now.raised)
        ask(STOP);
    else if (watch.slow && now.held >= watch.slow && !now.warned)
        ask(WARN);
    else if (!*now.line && !now.stopping && !now.warned)
        ask(NOTE);
    bool late = (watch.slow && now.held >= watch.slow) || (watch.limit && now.held >= watch.limit);
    if (deaf && late && !now.warned) {
        now.warned = true;
        now.told = now.held;
        tell_from_handler(t, true);
    }
}

/* t: the task that runs; NULL: none. */
static void begin(uint32_t resumes, const struct task *t)
{
    take_back();
    tell_end();
    memset(&now, 0, sizeof now);
    now.resumes = t ? resumes : resumes - 1;
    now.id = t ? t->id : 0;
    now.last = clock_real();
}

/* Time in which no tick arrived was not the task's: the process was stopped, or the machine was busy. */
static void count_time(void)
{
    int64_t time = clock_real(), passed = time - now.last;
    now.last = time;
    now.held += passed < 2 * watch.period ? passed : 2 * watch.period;
}

static void look(struct loop *l)
{
    bool others = !l->sched.running || l->beat->resumes != now.resumes;
    if (l->beat->turn_since_ns == 0) {
        ticker_set(0);
        l->unwatched = 1;
        begin(l->beat->resumes, NULL);
    } else if (others) {
        begin(l->beat->resumes, l->sched.running);
    } else {
        count_time();
        judge(l->sched.running);
    }
}

static void tick(void)
{
    if (watch.inside) {
        if (++watch.nested > UNANSWERED)
            trail_give_up();
        return;
    }
    watch.inside = true;
    watch.nested = 0;
    if (watch.cx && watch.cx->opened)
        look(&watch.cx->loop);
    watch.inside = false;
}

static void watch_again(struct loop *l)
{
    if (watch.cx && &watch.cx->loop == l)
        set_ticks();
}

/* In a signal handler. The loop, if it goes on meanwhile, learns of the first signal and answers it. */
static bool on_signal(int signo, bool again)
{
    uint32_t *resumes = signo == SIGUSR1 ? &asked.resumes[0] : signo == SIGQUIT ? &asked.resumes[1] : NULL;
    if (!watch.cx || !watch.cx->opened || !resumes)
        return false;
    struct loop *l = &watch.cx->loop;
    const struct task *t = l->sched.running;
    if (!again)
        *resumes = l->beat->resumes;
    if (!again || !t || l->beat->resumes != *resumes)
        return false;
    if (asked.signo)
        return signo != SIGQUIT;
    asked.signo = signo;
    if (now.resumes != *resumes)
        begin(*resumes, t);
    set_ticks();
    ask(SHOW);
    return true;
}

/* ---- on and off ---- */

/* It may be another Lua state's. */
static void turn_off(void)
{
    if (!watch.cx)
        return;
    signals_look_at(NULL);
    ticker_close();
    take_back();
    l_interrupt_end(watch.L, L_INTERRUPT_LIMITS);
    watch.cx->loop.unwatched = 0;
    luaL_unref(watch.L, LUA_REGISTRYINDEX, watch.teller);
    luaL_unref(watch.L, LUA_REGISTRYINDEX, watch.anchor);
    memset(&watch, 0, sizeof watch);
    asked.signo = 0;
}

void l_runaway_close(const struct ctx *cx)
{
    if (watch.cx == cx)
        turn_off();
}

static int64_t seconds(lua_State *L, int idx)
{
    lua_Number s = face_number(L, idx);
    luaL_argcheck(L, s == 0 || (s >= 1e-3 && s < 1e9), idx, "out of range");
    return clock_ns(s);
}

static int64_t between(int64_t n, int64_t least, int64_t most) { return n < least ? least : n > most ? most : n; }

static void set_times(int64_t slow, int64_t limit, int64_t stuck)
{
    int64_t least = INT64_MAX, times[] = {slow, limit, stuck};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        least = times[i] > 0 && times[i] < least ? times[i] : least;
    watch.slow = slow;
    watch.limit = limit;
    watch.stuck = stuck;
    watch.period = has_limits() ? between(least / 4, PERIOD_MIN, PERIOD_MAX) : PERIOD_ASKED;
    watch.grace = between(limit, 4 * watch.period, NS_PER_SECOND);
}

static void turn_on(lua_State *L, struct ctx *cx)
{
    lua_pushvalue(L, lua_upvalueindex(FACE_UP_CONTEXT));
    lua_pushvalue(L, lua_upvalueindex(FACE_UP_ANCHORS));
    lua_pushvalue(L, 4);
    lua_pushcclosure(L, teller, 3);
    watch.teller = luaL_ref(L, LUA_REGISTRYINDEX);
    watch.L = lua_newthread(L);
    watch.anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    watch.cx = cx;
    trail_prepare((const void *)(uintptr_t)lua_newstate);
    begin(cx->loop.beat->resumes, NULL);
    cx->loop.watch = watch_again;
}

/* runaway(slow, limit, stuck, tell, shows): seconds each, 0: none. tell("slow" | "limit" | "stuck" | "show", seconds,
 * traceback, err) is called in the task that has held the loop for so long; it does not wait, and returns whether it
 * has written something. "limit": err is raised next. After "stuck" the process ends. shows: two SIGUSR1 or SIGQUIT
 * that the loop does not take call it with "show". All 0 and not shows: off. Returns true, or nil, text, errno with all
 * off. */
static int l_runaway(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    int64_t slow = seconds(L, 1), limit = seconds(L, 2), stuck = seconds(L, 3);
    bool shows = lua_toboolean(L, 5);
    luaL_checktype(L, 4, LUA_TFUNCTION);
    lua_settop(L, 4);
    turn_off();
    if (slow == 0 && limit == 0 && stuck == 0 && !shows)
        return face_result(L, 0);
    turn_on(L, cx);
    set_times(slow, limit, stuck);
    if (has_limits())
        l_interrupt_use(L, L_INTERRUPT_LIMITS);
    int r = ticker_open(tick);
    if (r < 0)
        turn_off();
    if (r == 0 && shows)
        signals_look_at(on_signal);
    set_ticks();
    return face_result(L, r);
}

/* runaway_profiler(on): whether LuaJIT's profiler is ours, if we use it: a script that profiles has it for itself. */
static int l_runaway_profiler(lua_State *L)
{
    if (lua_toboolean(L, 1))
        l_interrupt_take_back(L);
    else
        l_interrupt_lend(L);
    return 0;
}

static const luaL_Reg functions[] = {
    {"runaway", l_runaway}, {"runaway_profiler", l_runaway_profiler}, {NULL, NULL},
};

void l_runaway_open(lua_State *L) { face_functions(L, functions); }
