/* SPDX-License-Identifier: MIT */
/* sys_init.h - system calls of process 1, which does nothing but wait for signals and for children.
 *
 * As in sys.h, all return what the system returned, or -errno. */
#ifndef MOONPARK_SYS_INIT_H
#define MOONPARK_SYS_INIT_H

#include "base/base.h"

#include <signal.h>
#include <sys/types.h>

/* Does every process come to us whose parent has ended? True for process 1 and for subreapers: prctl(2). */
bool sys_init_adopts(void);

/* Blocks all signals; *before is what was blocked until now. */
void sys_init_block(sigset_t *before);
void sys_init_unblock(const sigset_t *before);

/* Returns the child's pid, and 0 in the child. */
int sys_init_fork(void);

/* In the child: it is killed when its parent, process `parent`, ends. Returns false if that has happened already. */
bool sys_init_die_with(pid_t parent);

/* Takes the next of the blocked signals; waits for it. */
int sys_init_next_signal(siginfo_t *info);

/* Reaps a child that has ended. Returns its pid, and in *status what a shell would say: the exit status, or 128 + the
 * signal. 0: none has ended; -ECHILD: there is none. */
int sys_init_reap(int *status);

void sys_init_close_all(void);      /* every descriptor */
void sys_init_kill(pid_t pid, int signo);
_Noreturn void sys_init_exit(int status);

#endif
