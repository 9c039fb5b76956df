/* SPDX-License-Identifier: MIT */
/* sys_child.h - the system calls for child processes, each able to fail in the hard build.
 *
 * Called by child, starting and l_process. As in sys.h all return what the system returned, or -errno. */
#ifndef MOONPARK_SYS_CHILD_H
#define MOONPARK_SYS_CHILD_H

#include "base/base.h"

#include <sys/types.h>

/* What becomes of a child's descriptor 0, 1 or 2, where it is none of ours. */
enum { SYS_INHERIT = -1, SYS_NULL = -2, SYS_STDOUT = -3 };

struct sys_spawn {
    char *const *argv; /* argv[0] is looked up in PATH */
    char *const *envp;
    const char *cwd;   /* NULL: ours */
    int fds[3];        /* each above 2 or in its own place, or one of the words above */
    bool group, session;
};

/* Starts a program: -> its pid, or why it could not be executed (posix_spawn says). It has no descriptor of ours
 * but 0, 1 and 2, and blocks no signal. */
int sys_spawn(const struct sys_spawn *s);

int sys_pidfd_open(pid_t pid);
int sys_pidfd_self(void); /* our own: to see whether there are pidfds, and room for one */
int sys_pidfd_kill(int pidfd, int signo);
int sys_kill_group(pid_t leader, int signo);
int sys_dup_high(int fd); /* a copy above 2, close-on-exec */

/* How a child of ours ended: 1, with its status as waitid tells it; 0: it runs; -ECHILD: it is none. Never waits.
 * By pidfd, or, where that is negative, by pid. reap: it is gone then, and so is its pid. */
int sys_ended(int pidfd, pid_t pid, bool reap, int *code, int *status);

/* KILL to a child of ours (group: to its whole group), and reaps it: waits that short while. Has
 * no lever in the hard build. Does nothing where we may not: it has become another user's. */
void sys_kill_now(int pidfd, pid_t pid, bool group);

/* Whoever started us may want children to be reaped by the system: then nobody would hear how they ended. */
void sys_want_children(void);

#endif
