/* SPDX-License-Identifier: MIT */
/* child.c - everything that a child needs is opened before it is started: then hardly anything can fail once it
 * runs. A pid is used only while the child is not reaped, when no other process can have it. */
#include "process/child.h"

#include "base/sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* Copies those descriptors below 3 that are not in their own place: the child's dup2 calls would overwrite them. */
static int lift(struct sys_spawn *s, int copies[3])
{
    for (int i = 0; i < 3; i++) {
        int fd = s->fds[i];
        if (fd < 0 || fd > 2 || fd == i)
            continue;
        copies[i] = sys_dup_high(fd);
        if (copies[i] < 0)
            return copies[i];
        s->fds[i] = copies[i];
    }
    return 0;
}

static int spawn_lifted(const struct sys_spawn *s)
{
    struct sys_spawn lifted = *s;
    int copies[3] = {-1, -1, -1};
    int r = lift(&lifted, copies);
    if (r == 0)
        r = sys_spawn(&lifted);
    for (int i = 0; i < 3; i++)
        if (copies[i] >= 0)
            sys_close(copies[i]);
    return r;
}

int child_spawn(struct child *c, const struct sys_spawn *s)
{
    int place = sys_pidfd_self(); /* reserves a descriptor for the child's pidfd */
    if (place < 0)
        return place;
    int pid = spawn_lifted(s);
    sys_close(place);
    if (pid < 0)
        return pid;
    int pidfd = sys_pidfd_open(pid);
    *c = (struct child){.pid = pid, .pidfd = pidfd, .state = CHILD_RUNNING, .group = s->group,
                        .detached = s->session};
    if (pidfd >= 0)
        return 0;
    c->pidfd = -1;
    child_kill_now(c); /* another thread took the reserved descriptor */
    return pidfd;
}

/* Has it ended? reap: also frees its pid. */
static bool look(struct child *c, bool reap)
{
    int code, status;
    int r = sys_ended(c->pidfd, c->pid, reap, &code, &status);
    if (r == 0)
        return false;
    c->state = reap ? CHILD_REAPED : CHILD_ENDED;
    c->signo = r > 0 && code != CLD_EXITED ? status : 0;
    c->status = r < 0 ? r : code == CLD_EXITED ? status : 0;
    return true;
}

bool child_ended(struct child *c)
{
    return c->state != CHILD_RUNNING || look(c, false);
}

int child_kill(struct child *c, int signo)
{
    if (child_ended(c))
        return -ESRCH;
    int r = c->group ? sys_kill_group(c->pid, signo) : -ESRCH;
    return r < 0 || signo == SIGKILL ? sys_pidfd_kill(c->pidfd, signo) : r; /* it may have left its group */
}

void child_kill_rest(struct child *c)
{
    if (c->group && (c->state == CHILD_RUNNING || c->state == CHILD_ENDED))
        (void)sys_kill_group(c->pid, SIGKILL);
}

static void close_pidfd(struct child *c)
{
    if (c->pidfd >= 0)
        sys_close(c->pidfd);
    c->pidfd = -1;
}

void child_reap(struct child *c)
{
    if (c->state == CHILD_NONE)
        return;
    if (!c->detached && c->state != CHILD_REAPED)
        must(look(c, true));
    close_pidfd(c);
}

void child_kill_now(struct child *c)
{
    if (c->state == CHILD_RUNNING || c->state == CHILD_ENDED) {
        sys_kill_now(c->pidfd, c->pid, c->group);
        c->state = CHILD_REAPED;
        c->signo = SIGKILL;
    }
    close_pidfd(c);
}

bool child_reap_detached(pid_t pid)
{
    int code, status;
    return sys_ended(-1, pid, true, &code, &status) != 0;
}
