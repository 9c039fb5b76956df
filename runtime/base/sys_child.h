/* SPDX-License-Identifier: MIT */
/* sys_child.h - system calls for child processes; each can be made to fail in the hard build.
 *
 * As in sys.h, all return what the system returned, or -errno. */
#ifndef MOONPARK_SYS_CHILD_H
#define MOONPARK_SYS_CHILD_H

#include "base/base.h"

#include <sys/types.h>

/* What a child gets as its descriptor 0, 1 or 2 instead of one of ours. */
enum { SYS_INHERIT = -1, SYS_NULL = -2, SYS_STDOUT = -3 };

struct sys_spawn {
    char *const *argv; /* argv[0] is looked up in PATH */
    char *const *envp;
    const char *cwd;   /* NULL: ours */
    int fds[3];        /* each above 2 or equal to its index, or one of the constants above */
    bool group, session;
};

/* Starts a program. Returns its pid, or why it could not be executed (from posix_spawn). The program has no
 * descriptors but 0, 1 and 2, and no signal is blocked. */
int sys_spawn(const struct sys_spawn *s);

int sys_pidfd_open(pid_t pid);
int sys_pidfd_self(void); /* our own: shows whether pidfds exist, and whether there is room for one */
int sys_pidfd_kill(int pidfd, int signo);
int sys_kill_group(pid_t leader, int signo);
int sys_dup_high(int fd); /* a copy above 2, close-on-exec */

/* How a child of ours ended. Returns 1 and its status as from waitid; 0: it is running; -ECHILD: not our child. Never
 * waits. Uses pidfd, or pid if pidfd is negative. reap: the child is removed, and its pid becomes free. */
int sys_ended(int pidfd, pid_t pid, bool reap, int *code, int *status);

/* Sends KILL to a child of ours (group: to its whole group) and reaps it, which is a short wait. The hard build
 * cannot make it fail. Does nothing if we lack the permission because the child has become another user's. */
void sys_kill_now(int pidfd, pid_t pid, bool group);

/* From now on we are killed when the parent ends. The parent must be `parent` still: else -ESRCH. */
int sys_die_with(pid_t parent);

/* Becomes another program, which has the descriptors in fds beside 0, 1 and 2, and the same signals blocked. Returns
 * only if that fails: then they are close-on-exec. */
int sys_exec(char *const *argv, char *const *envp, const int *fds, size_t count);

/* Blocks, and unblocks, the signals that tell a server to end or to reload. */
void sys_block_signals(void);
void sys_unblock_signals(void);
bool sys_any_signal(bool (*is)(int signo)); /* is(signo) for any of them */

/* This process becomes that user's for good, with its groups. -ENOENT: there is no such user. */
int sys_become(const char *user);

int sys_socketpair(int fds[2]); /* unix streams, close-on-exec */

/* Moves descriptor 0 elsewhere, close-on-exec, and returns it there; 0 is /dev/null then. */
int sys_take_input(void);

/* Undoes an inherited "ignore SIGCHLD", with which the system would reap children, and their ends would be unknown. */
void sys_want_children(void);

#endif
