/* SPDX-License-Identifier: MIT */
/* init.c - all signals stay blocked in process 1: blocked ones are kept even where their action is to be ignored, and
 * are taken one by one. Nothing in here allocates or runs Lua. */
#include "process/init.h"

#include "base/sys_child.h"
#include "base/sys_init.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Reaps what has ended, and ends with the program. */
static void reap(pid_t program)
{
    int status = 0, ended = 0, pid;
    while ((pid = sys_init_reap(&status)) > 0)
        if (pid == program)
            ended = 1 + status;
    if (ended)
        sys_init_exit(ended - 1);
    must(pid == 0); /* the program is a child, until it has been reaped */
}

/* A signal of the kernel's comes from the terminal, and the program has had it too: both are in one group. */
static _Noreturn void serve(pid_t program)
{
    siginfo_t info;
    for (;;) {
        int signo = sys_init_next_signal(&info);
        if (signo == SIGCHLD)
            reap(program);
        else if (signo > 0 && info.si_code != SI_KERNEL)
            sys_init_kill(program, signo);
    }
}

static void rename_process(const char *variable, pid_t from)
{
    const char *text = getenv(variable);
    char now[24];
    if (!text || strtol(text, NULL, 10) != from)
        return;
    snprintf(now, sizeof now, "%d", (int)getpid());
    (void)setenv(variable, now, 1);
}

static void begin(pid_t parent, const sigset_t *before)
{
    if (!sys_init_die_with(parent))
        sys_init_exit(128 + SIGKILL);
    rename_process("LISTEN_PID", parent);
    rename_process("WATCHDOG_PID", parent);
    sys_init_unblock(before);
}

int init_start(void)
{
    sigset_t before;
    if (!sys_init_adopts())
        return 0;
    pid_t parent = getpid();
    sys_want_children();
    sys_init_block(&before);
    int pid = sys_init_fork();
    if (pid > 0) {
        sys_init_close_all(); /* what the program closes is closed */
        serve(pid);
    }
    if (pid == 0)
        begin(parent, &before);
    else
        sys_init_unblock(&before);
    return pid;
}
