/* SPDX-License-Identifier: MIT */
/* sys_child.c - posix_spawn with its file actions, pidfds, waitid. In the child, signals that we catch have their
 * default action again: exec resets them, and posix_spawn runs none of our handlers before. */
#define _GNU_SOURCE
#include "base/sys_child.h"

#include "base/hard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int add_file(posix_spawn_file_actions_t *files, int target, int fd)
{
    switch (fd) {
    case SYS_INHERIT:
        return 0;
    case SYS_NULL:
        return posix_spawn_file_actions_addopen(files, target, "/dev/null", O_RDWR, 0);
    case SYS_STDOUT:
        return posix_spawn_file_actions_adddup2(files, 1, target);
    default:
        return posix_spawn_file_actions_adddup2(files, fd, target);
    }
}

/* In the order in which the child runs them. */
static int add_files(posix_spawn_file_actions_t *files, const struct sys_spawn *s)
{
    int r = 0;
    for (int target = 0; target < 3 && r == 0; target++)
        r = add_file(files, target, s->fds[target]);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(files, 3);
    if (r == 0 && s->cwd)
        r = posix_spawn_file_actions_addchdir_np(files, s->cwd);
    return r;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct sys_spawn *s)
{
    sigset_t none;
    short flags = POSIX_SPAWN_SETSIGMASK;
    if (s->session)
        flags |= POSIX_SPAWN_SETSID;
    else if (s->group)
        flags |= POSIX_SPAWN_SETPGROUP; /* group 0, its own, is the attributes' default */
    sigemptyset(&none);
    int r = posix_spawnattr_setsigmask(attributes, &none);
    return r ? r : posix_spawnattr_setflags(attributes, flags);
}

int sys_spawn(const struct sys_spawn *s)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    int fault = hard_syscall(EAGAIN);
    if (fault)
        return fault;
    int r = posix_spawn_file_actions_init(&files);
    if (r)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = add_files(&files, s);
        if (r == 0)
            r = set_attributes(&attributes, s);
        if (r == 0)
            r = posix_spawnp(&pid, s->argv[0], &files, &attributes, s->argv, s->envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return r ? -r : pid;
}

int sys_pidfd_open(pid_t pid)
{
    int fault = hard_syscall(EMFILE);
    if (fault)
        return fault;
    int fd = pidfd_open(pid, 0); /* always close-on-exec */
    return fd < 0 ? -errno : fd;
}

int sys_pidfd_self(void) { return sys_pidfd_open(getpid()); }

int sys_pidfd_kill(int pidfd, int signo)
{
    int fault = hard_syscall(EPERM);
    if (fault)
        return fault;
    return pidfd_send_signal(pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int sys_kill_group(pid_t leader, int signo)
{
    int fault = hard_syscall(EPERM);
    if (fault)
        return fault;
    return kill(-leader, signo) < 0 ? -errno : 0;
}

int sys_dup_high(int fd)
{
    int fault = hard_syscall(EMFILE);
    if (fault)
        return fault;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

static int wait_for(int pidfd, pid_t pid, int flags, siginfo_t *info)
{
    int r;
    info->si_pid = 0;
    do
        r = pidfd >= 0 ? waitid(P_PIDFD, (id_t)pidfd, info, flags) : waitid(P_PID, (id_t)pid, info, flags);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : info->si_pid != 0;
}

/* The hard build cannot make it fail: for a child of ours it cannot, and a reported failure would leak the child. */
int sys_ended(int pidfd, pid_t pid, bool reap, int *code, int *status)
{
    siginfo_t info;
    int r = wait_for(pidfd, pid, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT), &info);
    *code = info.si_code;
    *status = info.si_status;
    return r;
}

void sys_kill_now(int pidfd, pid_t pid, bool group)
{
    siginfo_t info;
    bool sent = group && kill(-pid, SIGKILL) == 0;
    if (kill(pid, SIGKILL) == 0 || sent) /* the group may not exist yet, and it may have left it */
        (void)wait_for(pidfd, pid, WEXITED, &info);
}

int sys_die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return getppid() == parent ? 0 : -ESRCH; /* it may have ended before we asked */
}

static void set_cloexec(const int *fds, size_t count, bool on)
{
    for (size_t i = 0; i < count; i++)
        (void)fcntl(fds[i], F_SETFD, on ? FD_CLOEXEC : 0);
}

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

void sys_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(ending); i++)
        sigaddset(&set, ending[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

bool sys_any_signal(bool (*is)(int signo))
{
    for (size_t i = 0; i < ARRAY_LEN(ending); i++)
        if (is(ending[i]))
            return true;
    return false;
}

int sys_exec(char *const *argv, char *const *envp, const int *fds, size_t count)
{
    int fault = hard_syscall(ENOENT);
    if (fault)
        return fault;
    set_cloexec(fds, count, false);
    execvpe(argv[0], argv, envp);
    int r = -errno;
    set_cloexec(fds, count, true);
    return r;
}

void sys_unblock_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int sys_become(const char *user)
{
    struct passwd *p = getpwnam(user);
    if (!p)
        return -ENOENT;
    if (initgroups(user, p->pw_gid) < 0 || setgid(p->pw_gid) < 0 || setuid(p->pw_uid) < 0)
        return -errno;
    return 0;
}

int sys_socketpair(int fds[2])
{
    int fault = hard_syscall(EMFILE);
    if (fault)
        return fault;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int sys_take_input(void)
{
    int copy = sys_dup_high(0);
    if (copy < 0)
        return copy;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0 && dup2(null, 0) >= 0) {
        (void)close(null);
        return copy;
    }
    int r = -errno;
    if (null >= 0)
        (void)close(null);
    (void)close(copy);
    return r;
}

void sys_want_children(void)
{
    struct sigaction sa;
    if (sigaction(SIGCHLD, NULL, &sa) < 0)
        return;
    if (sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_NOCLDWAIT))
        return;
    if (sa.sa_handler == SIG_IGN)
        sa.sa_handler = SIG_DFL;
    sa.sa_flags &= ~SA_NOCLDWAIT;
    (void)sigaction(SIGCHLD, &sa, NULL);
}
