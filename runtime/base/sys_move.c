/* SPDX-License-Identifier: MIT */
/* sys_move.c - as in sys.c; SIGPIPE is also suppressed for the calls that have no flag for that. */
#define _GNU_SOURCE
#include "base/sys_move.h"

#include "base/sys_call.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* These calls have no flag against SIGPIPE: it is blocked meanwhile, and one that we caused is consumed.
 * One that was pending before is not ours; that is possible only if it was blocked before. */
struct sigpipe {
    sigset_t before;
    bool blocked, pending;
};

static void hold_sigpipe(struct sigpipe *s)
{
    sigset_t only, pending;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &only, &s->before);
    s->blocked = sigismember(&s->before, SIGPIPE) == 1;
    s->pending = s->blocked && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* After a call that returned r: returns r, or -errno. A call that moved something may also have met the end and
 * raised the signal: sendfile does. */
static ssize_t let_sigpipe(const struct sigpipe *s, ssize_t r)
{
    ssize_t result = r < 0 ? -errno : r;
    sigset_t only;
    if ((result == -EPIPE || result >= 0) && !s->pending) {
        sigemptyset(&only);
        sigaddset(&only, SIGPIPE);
        sigtimedwait(&only, NULL, &(struct timespec){0});
    }
    if (!s->blocked)
        pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    return result;
}

#define WITHOUT_SIGPIPE(r, call)          \
    do {                                  \
        struct sigpipe sigpipe_;          \
        hold_sigpipe(&sigpipe_);          \
        do                                \
            (r) = (call);                 \
        while ((r) < 0 && errno == EINTR);\
        return let_sigpipe(&sigpipe_, r); \
    } while (0)

ssize_t sys_writev(int fd, const struct iovec *iov, int count)
{
    struct iovec one = {.iov_base = iov->iov_base, .iov_len = hard_trim(iov->iov_len)};
    bool whole = hard_trim(2) > 1;
    ssize_t r;
    FAULT(EPIPE);
    WITHOUT_SIGPIPE(r, writev(fd, whole ? iov : &one, whole ? count : 1));
}

ssize_t sys_write_now(int fd, const struct iovec *iov, int count)
{
    ssize_t r;
    WITHOUT_SIGPIPE(r, pwritev2(fd, iov, count, -1, RWF_NOWAIT));
}

ssize_t sys_write_terminal(int fd, const struct iovec *iov, int count)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    ssize_t r;
    if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
        return -EAGAIN;
    WITHOUT_SIGPIPE(r, writev(fd, iov, count));
}

/* Injected faults are "not with these descriptors", because callers have another way for that. */
ssize_t sys_sendfile(int to, int file, uint64_t offset, size_t n)
{
    off_t at = (off_t)offset;
    ssize_t r;
    FAULT(EINVAL);
    WITHOUT_SIGPIPE(r, hard_sent(sendfile(to, file, &at, hard_trim(n))));
}

ssize_t sys_splice_in(int from, int pipe, size_t n)
{
    ssize_t r;
    FAULT(EINVAL);
    RETRY(r, splice(from, NULL, pipe, NULL, hard_trim(n), SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

ssize_t sys_splice_out(int pipe, int to, size_t n)
{
    ssize_t r;
    FAULT(EINVAL);
    WITHOUT_SIGPIPE(r, splice(pipe, NULL, to, NULL, hard_trim(n), SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

int sys_set_pipe_size(int fd, size_t n)
{
    FAULT(EPERM);
    return fcntl(fd, F_SETPIPE_SZ, (int)n) < 0 ? -errno : 0;
}

ssize_t sys_send_more(int fd, const void *bytes, size_t n)
{
    ssize_t r;
    FAULT(ECONNRESET);
    RETRY(r, send(fd, bytes, hard_trim(n), MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT));
}

int sys_file_size(int fd, uint64_t *size)
{
    struct stat st;
    FAULT(EIO);
    if (fstat(fd, &st) < 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    return S_ISREG(st.st_mode) ? 1 : S_ISDIR(st.st_mode) ? -EISDIR : 0;
}
