/* SPDX-License-Identifier: MIT */
/* child.h - a child process: started, signalled and reaped by its pidfd, which is also what one waits on.
 *
 * Called by starting and l_process. A struct child belongs to its caller; from child_spawn until child_reap or
 * child_kill_now it holds a process and a descriptor, which is readable once the process has ended. Needs
 * Linux 5.4: pidfds. */
#ifndef MOONPARK_CHILD_H
#define MOONPARK_CHILD_H

#include "base/sys_child.h"

enum child_state {
    CHILD_NONE,    /* not started */
    CHILD_RUNNING,
    CHILD_ENDED,   /* a zombie: it is known how it ended, its pid is still its own */
    CHILD_REAPED,
};

struct child {
    pid_t pid;
    int pidfd;  /* -1: closed */
    int signo;  /* that ended it, or 0 */
    int status; /* its exit status; negative: nobody can tell any more, and why */
    uint8_t state;
    bool group;    /* its own process group: signals go to all of it */
    bool detached; /* nobody waits for it */
};

/* Starts a process as s says; descriptors below 3 may stand in any place there. 0; or why not, with nothing
 * left open and nothing running. -ENOSYS: no pidfds here. The descriptors in s stay the caller's. In any thread;
 * sys_want_children comes before, in the loop's: it is of signals. */
int child_spawn(struct child *c, const struct sys_spawn *s);

/* Has it ended? */
bool child_ended(struct child *c);

/* Sends a signal; never to another process that has its pid by now. 0, -ESRCH once it has ended, -EPERM. */
int child_kill(struct child *c, int signo);

/* Of a group whose leader was not reaped yet: KILL to what is left of it. */
void child_kill_rest(struct child *c);

/* Gives an ended one's pid and the descriptor back. Detached: the descriptor alone. */
void child_reap(struct child *c);

/* KILL, and reaps it: waits that short while. For who has no time. Harmless twice. */
void child_kill_now(struct child *c);

/* Reaps a detached one where it has ended: is it gone? */
bool child_reap_detached(pid_t pid);

#endif
