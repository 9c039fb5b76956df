/* SPDX-License-Identifier: MIT */
/* child.h - a child process: started, signalled, waited for and reaped through its pidfd.
 *
 * A struct child belongs to its caller. From child_spawn until child_reap or child_kill_now it holds a process and
 * a descriptor, which becomes readable when the process has ended. Needs pidfds: Linux 5.4. */
#ifndef MOONPARK_CHILD_H
#define MOONPARK_CHILD_H

#include "base/sys_child.h"

enum child_state {
    CHILD_NONE,    /* not started */
    CHILD_RUNNING,
    CHILD_ENDED,   /* a zombie: how it ended is known, and its pid is still reserved */
    CHILD_REAPED,
};

struct child {
    pid_t pid;
    int pidfd;  /* -1: closed */
    int signo;  /* the signal that ended it, or 0 */
    int status; /* its exit status; negative: why it cannot be known */
    uint8_t state;
    bool group;    /* has its own process group: signals go to the whole group */
    bool detached; /* is not waited for */
};

/* Starts the process that s describes; descriptors below 3 may be at any index. Returns 0; or why not, with nothing
 * left open and nothing running. -ENOSYS: no pidfds here. The descriptors in s still belong to the caller. May be
 * called in any thread, after sys_want_children was called in the loop's thread, because that concerns signals. */
int child_spawn(struct child *c, const struct sys_spawn *s);

/* Has it ended? */
bool child_ended(struct child *c);

/* Sends a signal; never to another process that got the same pid. Returns 0, -ESRCH once it has ended, -EPERM. */
int child_kill(struct child *c, int signo);

/* Sends KILL to the rest of a group whose leader was not reaped yet. */
void child_kill_rest(struct child *c);

/* Reaps a child that has ended and closes the descriptor. Detached: only closes the descriptor. */
void child_reap(struct child *c);

/* Sends KILL and reaps the child, which is a short wait. For callers that cannot park. Harmless twice. */
void child_kill_now(struct child *c);

/* Reaps a detached child if it has ended. Returns whether it is gone. */
bool child_reap_detached(pid_t pid);

#endif
