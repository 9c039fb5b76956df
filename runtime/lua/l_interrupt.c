/* SPDX-License-Identifier: MIT */
/* l_interrupt.c - by LuaJIT's profiler. While it is on, compiled code checks at each line for the profiler's own
 * flag, and leaves to the interpreter if that is set. So the profiler is started, its timer is stopped at once, and its
 * signal handler is called when the flag is wanted. */
#include "lua/l_interrupt.h"

#include "base/trail.h"

#include <luajit.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

/* The profiler belongs to the process: one Lua state at a time. */
static struct {
    const struct ctx *cx;
    unsigned users;
    void (*handler)(int); /* the profiler's; NULL: it is another's, or there is none */
    bool profiling;       /* we have started it */
} own;

static void sampled(void *data, lua_State *L, int samples, int vmstate)
{
    (void)data, (void)L, (void)samples, (void)vmstate;
}

/* A handler of LuaJIT's is there already if a script is profiled: then its profiler has to do. */
static void start(lua_State *L)
{
    struct sigaction before, ours;
    struct itimerval never = {.it_value = {.tv_sec = 0}};
    trail_prepare((const void *)(uintptr_t)lua_newstate);
    must(sigaction(SIGPROF, NULL, &before) == 0);
    if (trail_is_inside((const void *)(uintptr_t)before.sa_handler))
        own.handler = before.sa_handler;
    if (before.sa_handler != SIG_DFL)
        return;
    luaJIT_profile_start(L, "li1000000", sampled, NULL);
    (void)setitimer(ITIMER_PROF, &never, NULL);
    own.profiling = true;
    if (sigaction(SIGPROF, NULL, &ours) == 0 && ours.sa_handler != SIG_DFL)
        own.handler = ours.sa_handler;
}

static void stop(lua_State *L)
{
    if (own.profiling)
        luaJIT_profile_stop(L);
    own.profiling = false;
}

void l_interrupt_use(lua_State *L, enum l_interrupt_user user)
{
    if (own.users == 0)
        start(L);
    own.cx = face_ctx(L);
    own.users |= user;
}

void l_interrupt_end(lua_State *L, enum l_interrupt_user user)
{
    if (own.users == (unsigned)user)
        stop(L);
    own.users &= ~(unsigned)user;
}

void l_interrupt_lend(lua_State *L) { stop(L); }

void l_interrupt_take_back(lua_State *L)
{
    if (own.users && !own.profiling)
        start(L);
}

/* Only while a profiler runs is there a handler of that name, and only then may it be called. */
void l_interrupt_now(void)
{
    struct sigaction sa;
    if (own.handler && sigaction(SIGPROF, NULL, &sa) == 0 && sa.sa_handler == own.handler)
        own.handler(SIGPROF);
}

void l_interrupt_close(const struct ctx *cx)
{
    if (own.cx == cx)
        memset(&own, 0, sizeof own);
}
