/* SPDX-License-Identifier: MIT */
/* sys_init.c - thin wrappers, as in sys.c. Nobody could act on most failures here, and for signals and children that
 * are our own most calls have none. */
#define _GNU_SOURCE
#include "base/sys_init.h"

#include "base/sys_call.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool sys_init_adopts(void)
{
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

void sys_init_block(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, before);
}

void sys_init_unblock(const sigset_t *before) { sigprocmask(SIG_SETMASK, before, NULL); }

int sys_init_fork(void)
{
    FAULT(EAGAIN);
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

bool sys_init_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == parent;
}

int sys_init_next_signal(siginfo_t *info)
{
    sigset_t all;
    int signo;
    sigfillset(&all);
    RETRY(signo, sigwaitinfo(&all, info));
}

int sys_init_reap(int *status)
{
    int word;
    pid_t pid;
    do
        pid = waitpid(-1, &word, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid > 0)
        *status = WIFSIGNALED(word) ? 128 + WTERMSIG(word) : WEXITSTATUS(word);
    return pid < 0 ? -errno : pid;
}

void sys_init_close_all(void) { (void)close_range(0, ~0U, 0); }

void sys_init_kill(pid_t pid, int signo) { (void)kill(pid, signo); }

void sys_init_exit(int status) { _exit(status); }
