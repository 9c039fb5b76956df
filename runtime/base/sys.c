/* SPDX-License-Identifier: MIT */
/* sys.c - thin wrappers: a chance to fail, the call, EINTR, -errno. Nothing else happens here. */
#define _GNU_SOURCE
#include "base/sys.h"

#include "base/sys_call.h"

#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int sys_socket(int family, int type)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int sys_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    int r;
    FAULT(EADDRINUSE);
    RETRY(r, bind(fd, address, len));
}

int sys_listen(int fd, int backlog)
{
    int r;
    FAULT(EADDRINUSE);
    RETRY(r, listen(fd, backlog));
}

int sys_accept(int fd, struct sockaddr *address, socklen_t *len)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, accept4(fd, address, len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/* An interrupted connect continues in the kernel: EINTR means the same as EINPROGRESS. */
int sys_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    FAULT(ECONNREFUSED);
    if (connect(fd, address, len) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int sys_shutdown(int fd, int how)
{
    FAULT(ENOTCONN);
    return shutdown(fd, how) < 0 ? -errno : 0;
}

int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    FAULT(ENOBUFS);
    return getsockopt(fd, level, name, value, len) < 0 ? -errno : 0;
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    FAULT(ENOBUFS);
    return setsockopt(fd, level, name, value, len) < 0 ? -errno : 0;
}

int sys_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    FAULT(ENOBUFS);
    return getsockname(fd, address, len) < 0 ? -errno : 0;
}

int sys_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    FAULT(ENOBUFS);
    return getpeername(fd, address, len) < 0 ? -errno : 0;
}

ssize_t sys_recv(int fd, void *bytes, size_t n)
{
    ssize_t r;
    FAULT(ECONNRESET);
    RETRY(r, recv(fd, bytes, hard_trim(n), 0));
}

ssize_t sys_peek(int fd, void *bytes, size_t n)
{
    ssize_t r;
    FAULT(ECONNRESET);
    RETRY(r, recv(fd, bytes, n, MSG_PEEK | MSG_DONTWAIT));
}

ssize_t sys_send(int fd, const struct iovec *iov, int count)
{
    ssize_t r;
    FAULT(EPIPE);
    if (count == 1 || hard_trim(2) == 1) {
        RETRY(r, send(fd, iov->iov_base, hard_trim(iov->iov_len), MSG_NOSIGNAL));
    }
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    RETRY(r, sendmsg(fd, &m, MSG_NOSIGNAL));
}

ssize_t sys_recv_from(int fd, void *bytes, size_t n, struct sockaddr *address, socklen_t *len)
{
    ssize_t r;
    FAULT(ENOBUFS);
    RETRY(r, recvfrom(fd, bytes, n, MSG_TRUNC, address, len));
}

ssize_t sys_send_to(int fd, const void *bytes, size_t n, const struct sockaddr *address, socklen_t len)
{
    ssize_t r;
    FAULT(ENOBUFS);
    RETRY(r, sendto(fd, bytes, n, MSG_NOSIGNAL, address, len));
}

int sys_recv_many(int fd, struct mmsghdr *messages, unsigned count)
{
    int r;
    FAULT(ENOBUFS);
    RETRY(r, recvmmsg(fd, messages, count, MSG_TRUNC, NULL));
}

int sys_send_many(int fd, struct mmsghdr *messages, unsigned count)
{
    int r;
    FAULT(ENOBUFS);
    RETRY(r, sendmmsg(fd, messages, count, MSG_NOSIGNAL));
}

int sys_eventfd(void)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

int sys_pipe(int fds[2])
{
    FAULT(EMFILE);
    return pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}

ssize_t sys_read(int fd, void *bytes, size_t n)
{
    ssize_t r;
    RETRY(r, read(fd, bytes, n));
}

ssize_t sys_write(int fd, const void *bytes, size_t n)
{
    ssize_t r;
    RETRY(r, write(fd, bytes, n));
}

ssize_t sys_read_some(int fd, void *bytes, size_t n)
{
    ssize_t r;
    FAULT(EIO);
    RETRY(r, read(fd, bytes, hard_trim(n)));
}

int sys_set_nonblocking(int fd, bool on)
{
    FAULT(EBADF);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int sys_set_cloexec(int fd)
{
    FAULT(EBADF);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int sys_is_file(int fd, struct sys_identity *id)
{
    struct stat st;
    FAULT(EIO);
    if (fstat(fd, &st) < 0)
        return -errno;
    *id = (struct sys_identity){.device = st.st_dev, .inode = st.st_ino};
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

int sys_unlink(const char *path)
{
    FAULT(EACCES);
    return unlink(path) < 0 ? -errno : 0;
}

int sys_if_index(const char *name)
{
    FAULT(EMFILE); /* the question needs a socket */
    unsigned index = if_nametoindex(name);
    return index ? (int)index : -errno;
}

int sys_if_name(unsigned index, char *name)
{
    FAULT(ENXIO);
    return if_indextoname(index, name) ? 0 : -errno;
}

int sys_random(void *bytes, size_t n)
{
    FAULT(ENOSYS);
    ssize_t r;
    do
        r = getrandom(bytes, n, 0);
    while (r < 0 && errno == EINTR);
    return r == (ssize_t)n ? 0 : r < 0 ? -errno : -EIO;
}

int sys_dup(int fd)
{
    FAULT(EMFILE);
    int r = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return r < 0 ? -errno : r;
}

static int put_file(int r, const struct stat *st, struct sys_file *f)
{
    if (r < 0)
        return -errno;
    *f = (struct sys_file){.dev = st->st_dev, .ino = st->st_ino, .mode = st->st_mode};
    return 0;
}

int sys_file_at(const char *path, struct sys_file *f)
{
    struct stat st;
    FAULT(EACCES);
    return put_file(lstat(path, &st), &st, f);
}

int sys_file_of(int fd, struct sys_file *f)
{
    struct stat st;
    FAULT(EIO);
    return put_file(fstat(fd, &st), &st, f);
}

int sys_open_path(const char *path)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

int sys_open_folder(const char *path)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* fchmod(2) refuses descriptors opened with O_PATH; their entries in /proc lead to the same file, even if
 * the path has changed since. */
int sys_chmod(int fd, uint32_t mode)
{
    char path[32];
    FAULT(EPERM);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, mode) < 0 ? -errno : 0;
}

int sys_fchmod(int fd, uint32_t mode)
{
    FAULT(EPERM);
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

int sys_lock(int fd)
{
    int r;
    FAULT(EWOULDBLOCK);
    RETRY(r, flock(fd, LOCK_EX | LOCK_NB));
}

/* The kernel finds the socket of a path before it compares types: a datagram socket that connects
 * learns of a listener (EPROTOTYPE) without entering its queue. */
int sys_unix_alive(const struct sockaddr *address, socklen_t len)
{
    FAULT(EMFILE);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = connect(fd, address, len) < 0 ? errno : 0;
    close(fd);
    if (err == ECONNREFUSED)
        return 0;
    return err == 0 || err == EPROTOTYPE ? 1 : -err;
}

union fds_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(SYS_FDS_MAX * sizeof(int)) + CMSG_SPACE(256)]; /* + what SO_PASSCRED and the like add */
};

ssize_t sys_send_fds(int fd, const void *bytes, size_t n, const int *fds, int count)
{
    ssize_t r;
    union fds_control control = {0};
    size_t size = (size_t)count * sizeof *fds;
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = hard_trim(n)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    FAULT(EPIPE);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
    RETRY(r, sendmsg(fd, &m, MSG_NOSIGNAL));
}

static int take_fds(struct msghdr *m, int fds[static SYS_FDS_MAX])
{
    int count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t size = c->cmsg_len - CMSG_LEN(0); /* one such block per call, of at most SCM_MAX_FD: they fit */
        memcpy(fds + count, CMSG_DATA(c), size);
        count += (int)(size / sizeof *fds);
    }
    return count;
}

ssize_t sys_recv_fds(int fd, void *bytes, size_t n, int fds[static SYS_FDS_MAX], int *count, bool *lost)
{
    ssize_t r;
    union fds_control control;
    struct iovec iov = {.iov_base = bytes, .iov_len = hard_trim(n)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *count = 0;
    *lost = false;
    FAULT(ECONNRESET);
    do
        r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    *count = take_fds(&m, fds);
    *lost = (m.msg_flags & MSG_CTRUNC) != 0;
    return r;
}

/* From time, size and inode: a file may be replaced by an older one. */
int sys_fingerprint(const char *path, uint64_t *print)
{
    struct stat st;
    FAULT(EACCES);
    *print = 0;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    *print = (uint64_t)st.st_mtim.tv_sec * NS_PER_SECOND + (uint64_t)st.st_mtim.tv_nsec;
    *print = (*print * 31 + (uint64_t)st.st_size) * 31 + (uint64_t)st.st_ino;
    *print += *print == 0;
    return 0;
}

void sys_close(int fd)
{
    (void)close(fd);
}

static int poll_once(struct pollfd *fds, size_t count, int64_t timeout)
{
    struct timespec ts = {.tv_sec = timeout / NS_PER_SECOND, .tv_nsec = timeout % NS_PER_SECOND};
    int n = ppoll(fds, count, timeout < 0 ? NULL : &ts, NULL);
    return n < 0 ? -errno : n;
}

/* poll(2) refuses more descriptors than RLIMIT_NOFILE, which may have been lowered since they were opened: then they
 * are looked at in parts, and if none is ready, after a nap the caller tries again. */
static int poll_in_parts(struct pollfd *fds, size_t count, int64_t timeout)
{
    static const int64_t nap = NS_PER_SECOND / 100;
    struct rlimit most;
    int ready = 0;
    if (getrlimit(RLIMIT_NOFILE, &most) < 0 || most.rlim_cur == 0 || most.rlim_cur >= count)
        return -EINVAL;
    for (size_t i = 0; i < count; i += most.rlim_cur) {
        int n = poll_once(fds + i, base_min(most.rlim_cur, count - i), 0);
        if (n < 0)
            return n;
        ready += n;
    }
    return ready || timeout == 0 ? ready : poll_once(NULL, 0, timeout < 0 || timeout > nap ? nap : timeout);
}

int sys_poll(struct pollfd *fds, size_t count, int64_t timeout)
{
    FAULT(EINTR);
    int n = poll_once(fds, count, timeout);
    return n == -EINVAL ? poll_in_parts(fds, count, timeout) : n;
}

/* For the whole process, including helper threads; for tests only, no behaviour depends on it. */
static uint64_t blocks;

static void count(int n) { __atomic_add_fetch(&blocks, n, __ATOMIC_RELAXED); }

void *sys_alloc(size_t n)
{
    void *p = hard_alloc() ? calloc(1, n) : NULL;
    count(p != NULL);
    return p;
}

void *sys_realloc(void *p, size_t n)
{
    if (!hard_alloc())
        return NULL;
    void *q = realloc(p, n);
    count(p == NULL && q != NULL);
    return q;
}

void sys_free(void *p)
{
    count(-(p != NULL));
    free(p);
}

void *sys_library_realloc(void *p, size_t n, bool may_fail)
{
    return may_fail && !hard_alloc() ? NULL : realloc(p, n);
}

void sys_library_free(void *p) { free(p); }

/* glibc's; other C libraries keep what they see fit. */
extern int mallopt(int parameter, int value) __attribute__((weak));
enum { TRIM_THRESHOLD = -1, MMAP_THRESHOLD = -3, KEPT = 8 << 20 };

/* Both: setting one of them ends the adaptation of the other, and blocks above 128 KiB would be mapped each time. */
void sys_keep_freed(void)
{
    if (!mallopt || getenv("MALLOC_TRIM_THRESHOLD_") || getenv("MALLOC_MMAP_THRESHOLD_") || getenv("GLIBC_TUNABLES"))
        return;
    (void)mallopt(MMAP_THRESHOLD, KEPT);
    (void)mallopt(TRIM_THRESHOLD, KEPT);
}

uint64_t sys_allocated(void) { return __atomic_load_n(&blocks, __ATOMIC_RELAXED); }
