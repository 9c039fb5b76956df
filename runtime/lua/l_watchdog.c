/* SPDX-License-Identifier: MIT */
/* l_watchdog.c - stops Lua code that runs without waiting: for tests, the prompt, and output without a reader.
 *
 * It counts processor time, not real time: a timer's signal sets a hook, and the hook raises in the running
 * task, at each instruction, so that no pcall can stop it. Before that it costs nothing.
 *
 * Compiled code does not check hooks: l_interrupt.c makes it leave. Where no hook runs at all (a C function, a
 * finalizer), nothing can be stopped: after GRACE more ticks the process ends, with the reason on standard error.
 *
 * With interrupts() a person replaces the timer: a second Ctrl-C that arrives before the loop learned of the
 * first one sets the hook. The prompt's own task is spared, because the program would end with it. */
#include "lua/faces.h"

#include "loop/signals.h"
#include "lua/l_interrupt.h"
#include "net/conn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_US = 100000, GRACE = 10, EXIT_STATUS = 70 };

/* The timer, the signals and the hook belong to the process: one use at a time. */
static struct {
    lua_State *L;
    struct ctx *cx;
    const char *what; /* the error */
    int signo;        /* caught, while L is set */
    int ticks;
    bool barked;
    lua_State *victim; /* the coroutine that is being stopped; others continue */
    uint64_t spared;   /* id of a task that is never stopped; 0: none */
    char last_words[4096];
    struct sigaction before;
} dog;

static bool spares(void) { return dog.spared && face_running_id(dog.cx) == dog.spared; }

static void bark(lua_State *L, lua_Debug *ar)
{
    if (!face_running(dog.cx) || L == dog.cx->L || (dog.victim && L != dog.victim) || spares())
        return; /* the loop itself is running, or another task: the hook stays */
    dog.victim = L;
    dog.barked = true;
    luaL_where(L, lua_getinfo(L, "S", ar) && *ar->what == 'C' ? 1 : 0);
    lua_pushstring(L, dog.what);
    lua_concat(L, 2);
    lua_error(L);
}

static void set_bark(void)
{
    lua_sethook(dog.L, bark, LUA_MASKCALL | LUA_MASKCOUNT, 1);
    l_interrupt_now();
}

static void tick(int signo)
{
    int saved = errno;
    (void)signo;
    if (++dog.ticks > GRACE) {
        (void)!write(STDERR_FILENO, dog.last_words, strlen(dog.last_words));
        _exit(EXIT_STATUS);
    }
    dog.victim = NULL;
    set_bark();
    errno = saved;
}

static void interrupted(int signo)
{
    if (!signals_pending(signo)) {
        dog.ticks = 0;
        dog.before.sa_handler(signo);
    } else if (!face_running(dog.cx) || spares()) {
        return; /* the loop is about to learn of it, however many arrive */
    } else if (dog.ticks++ == 0) {
        dog.victim = NULL;
        set_bark();
    } else {
        dog.before.sa_handler(signo); /* compiled code: the process ends */
    }
}

static void catch_signal(lua_State *L, int signo, void (*handler)(int), const char *what)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    dog.cx = face_ctx(L);
    dog.L = dog.cx->L ? dog.cx->L : L; /* not a task's: it may be gone */
    dog.what = what;
    dog.signo = signo;
    dog.ticks = 0;
    dog.victim = NULL;
    dog.barked = false;
    must(sigaction(signo, &action, &dog.before) == 0);
}

static void arm(lua_Number seconds)
{
    struct itimerval timer = {.it_interval = {.tv_usec = seconds > 0 ? TICK_US : 0}};
    timer.it_value.tv_sec = (time_t)seconds;
    timer.it_value.tv_usec = (suseconds_t)((seconds - (lua_Number)(time_t)seconds) * 1e6);
    must(setitimer(ITIMER_VIRTUAL, &timer, NULL) == 0);
}

/* watchdog(seconds, last words): in a task that runs for this much processor time from now on without waiting, an
 * error is raised until watchdog_end. If that cannot stop it, the process ends with the last words. */
static int l_watchdog(lua_State *L)
{
    lua_Number seconds = face_number(L, 1);
    luaL_argcheck(L, seconds >= 1e-6 && seconds < 1e9, 1, "out of range");
    strncpy(dog.last_words, luaL_checkstring(L, 2), sizeof dog.last_words - 1);
    catch_signal(L, SIGVTALRM, tick, "stopped: it ran too long without waiting");
    dog.spared = 0;
    l_interrupt_use(L, L_INTERRUPT_TESTS); /* it stays: to begin again costs all that is compiled */
    arm(seconds);
    return 0;
}

/* interrupts(): to be called after signal_watch("INT"). In a task that is running when the second SIGINT arrives an
 * error is raised until watchdog_end. The first one goes to the loop, and so do all as long as the loop handles them.
 * The calling task is spared. Calling it again forgets the signals that arrived so far. */
static int l_interrupts(lua_State *L)
{
    if (dog.L && dog.signo == SIGINT) { /* again: its handler stays, or signals in between would kill */
        lua_sethook(dog.L, NULL, 0, 0);
        dog.ticks = 0;
        return 0;
    }
    catch_signal(L, SIGINT, interrupted, "interrupted");
    if (face_running(dog.cx))
        dog.spared = face_running_id(dog.cx);
    return 0;
}

/* watchdog_end() -> was an error raised */
static int l_watchdog_end(lua_State *L)
{
    bool armed = dog.L != NULL;
    arm(0);
    if (armed) {
        must(sigaction(dog.signo, &dog.before, NULL) == 0);
        lua_sethook(L, NULL, 0, 0);
        dog.L = NULL;
    }
    lua_pushboolean(L, armed && dog.barked);
    return 1;
}

/* ---- output without a reader ---- */

/* Seconds of processor time after the first signal that the loop has not handled. */
enum { PIPE_IS_UNHEARD = 1, PIPE_KILLS = 3 };

static struct {
    lua_State *L;
    int ending; /* a reference to the function */
    int64_t since;
    struct loop *loop;
    struct sigaction before;
} broken;

static void end_now(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, broken.ending);
    if (lua_pcall(L, 0, 0, 0) != 0)
        lua_pop(L, 1);
}

/* In a handler, but never inside our own code: the signal comes from a failed write, which compiled Lua code
 * called. */
static void close_and_die(int signo)
{
    while (!list_empty(&broken.loop->conns))
        conn_close(container_of(broken.loop->conns.next, struct conn, link));
    _exit(128 + signo);
}

/* Each write raises another one, and a script that prints in a loop may print for long before it waits. */
static void pipe_broke(int signo)
{
    int saved = errno;
    int64_t now = clock_processor();
    if (!signals_pending(signo))
        broken.since = now;
    int64_t unheard = (now - broken.since) / NS_PER_SECOND;
    if (!signals_pending(signo))
        broken.before.sa_handler(signo);
    else if (unheard >= PIPE_KILLS)
        close_and_die(signo);
    else if (unheard >= PIPE_IS_UNHEARD)
        lua_sethook(broken.L, end_now, LUA_MASKCALL | LUA_MASKCOUNT, 1);
    errno = saved;
}

/* end_by_pipe(ending): to be called once in a process, after signal_watch("PIPE"). The loop learns of the first SIGPIPE
 * when it runs again. If a task keeps writing for a second without waiting, ending() is called in the middle of it. If
 * even this does not end the process (compiled code), it closes its connections and exits two seconds later. */
static int l_end_by_pipe(lua_State *L)
{
    struct sigaction action = {.sa_handler = pipe_broke, .sa_flags = SA_RESTART};
    struct ctx *cx = face_ctx(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    broken.ending = luaL_ref(L, LUA_REGISTRYINDEX);
    broken.L = cx->L ? cx->L : L;
    broken.loop = &cx->loop;
    must(sigaction(SIGPIPE, &action, &broken.before) == 0);
    return 0;
}

static const luaL_Reg functions[] = {
    {"end_by_pipe", l_end_by_pipe}, {"interrupts", l_interrupts}, {"watchdog", l_watchdog},
    {"watchdog_end", l_watchdog_end}, {NULL, NULL},
};

void l_watchdog_open(lua_State *L) { face_functions(L, functions); }
