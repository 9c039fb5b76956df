/* SPDX-License-Identifier: MIT */
/* l_crash.c - tells of a crash on standard error: the signal, the C functions, the running task and its last known
 * line, and what the other tasks wait for. Then the signal does what it does without us: it ends the process, with a
 * core dump where the system is set up for one.
 *
 * Who has handlers already, such as a sanitizer, keeps them. */
#include "lua/faces.h"

#include "base/sys.h"
#include "loop/writer.h"
#include "lua/l_trail.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LAST_LINES (NS_PER_SECOND / 5) /* for the lines of logs that are not written yet */

static struct {
    struct ctx *cx;
    char stack[65536]; /* the usual one may have run out */
} crash;

static const struct {
    int number;
    const char *name;
} fatal[] = {{SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGSEGV, "SIGSEGV"}};

static const char *name_of(int signo)
{
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        if (fatal[i].number == signo)
            return fatal[i].name;
    return "a signal";
}

/* SA_RESETHAND: the next one, which waits until we return, ends the process. */
static void crashed(int signo)
{
    struct trail_text text = {.length = 0};
    char line[L_TRAIL_LINE] = "";
    const struct task *t = crash.cx->loop.sched.running;
    writer_settle(LAST_LINES);
    trail_put(&text, "moonpark: pid ");
    trail_put_number(&text, (uint64_t)getpid());
    trail_put(&text, " has crashed by ");
    trail_put(&text, name_of(signo));
    trail_put(&text, t ? " in " : ", while no task ran\n");
    if (t) {
        l_trail_task(&text, t);
        l_trail_place(&text, t, line, sizeof line);
        trail_put(&text, "\n");
    }
    l_trail_write(&text);
    l_trail_tasks(crash.cx);
    (void)raise(signo); /* where somebody has sent it, the fault does not come again */
}

/* tell_crashes() -> will they be told of */
static int l_tell_crashes(lua_State *L)
{
    struct sigaction sa = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_RESETHAND}, before;
    stack_t stack = {.ss_sp = crash.stack, .ss_size = sizeof crash.stack};
    crash.cx = face_loop(L);
    must(sigaction(SIGSEGV, NULL, &before) == 0);
    bool free = before.sa_handler == SIG_DFL;
    lua_pushboolean(L, free);
    if (!free)
        return 1;
    trail_prepare((const void *)(uintptr_t)lua_newstate);
    must(sigaltstack(&stack, NULL) == 0);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        must(sigaction(fatal[i].number, &sa, NULL) == 0);
    return 1;
}

static const luaL_Reg functions[] = {{"tell_crashes", l_tell_crashes}, {NULL, NULL}};

void l_crash_open(lua_State *L) { face_functions(L, functions); }
