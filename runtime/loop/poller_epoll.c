/* SPDX-License-Identifier: MIT */
/* poller_epoll.c - epoll, edge-triggered. Urgent data is asked for only because it cuts reads short. */
#define _GNU_SOURCE
#include "loop/poller.h"

#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

extern const struct poller_ops poller_epoll; /* the table at the end */

struct epoll_poller {
    struct poller base;
    int epoll, wake;
    bool coarse; /* the kernel has no epoll_pwait2: milliseconds */
    struct epoll_event events[];
};

static struct epoll_poller *self(const struct poller *p)
{
    return container_of(p, struct epoll_poller, base);
}

static int control(struct epoll_poller *e, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events, .data.u64 = data};
    int fault = op == EPOLL_CTL_ADD ? hard_syscall(ENOSPC) : 0;
    if (fault)
        return fault;
    return epoll_ctl(e->epoll, op, fd, &ev) < 0 ? -errno : 0;
}

static void epoll_close(struct poller *p)
{
    struct epoll_poller *e = self(p);
    if (e->wake >= 0)
        sys_close(e->wake);
    if (e->epoll >= 0)
        sys_close(e->epoll);
    sys_free(e);
}

static int open_descriptors(struct epoll_poller *e)
{
    int fault = hard_syscall(EMFILE);
    if (fault)
        return fault;
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll < 0)
        return -errno;
    e->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->wake < 0)
        return -errno;
    return control(e, EPOLL_CTL_ADD, e->wake, EPOLLIN, POLLER_WAKE);
}

static int epoll_open(struct poller **p)
{
    struct epoll_poller *e = sys_alloc(sizeof *e + limits.events * sizeof e->events[0]);
    if (!e)
        return -ENOMEM;
    e->base.ops = &poller_epoll;
    e->epoll = e->wake = -1;
    int r = open_descriptors(e);
    if (r < 0) {
        epoll_close(&e->base);
        return r;
    }
    *p = &e->base;
    return 0;
}

static int epoll_descriptor(const struct poller *p) { return self(p)->epoll; }

static bool epoll_owns(const struct poller *p, int fd)
{
    return fd == self(p)->epoll || fd == self(p)->wake;
}

static int epoll_add(struct poller *p, int fd, uint64_t data)
{
    const uint32_t both = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    return control(self(p), EPOLL_CTL_ADD, fd, both, data);
}

/* Exclusive ones may ask for little else. */
static int epoll_add_shared(struct poller *p, int fd, uint64_t data)
{
    return control(self(p), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, data);
}

/* The owner may have closed the descriptor already: then the kernel has removed it. */
static void epoll_del(struct poller *p, int fd)
{
    (void)control(self(p), EPOLL_CTL_DEL, fd, 0, 0);
}

/* Adding it again is refused if it is still there. If its number belongs to another file, or to none, the kernel has
 * removed it. */
static bool epoll_lost(struct poller *p, int fd)
{
    struct epoll_event none = {.events = 0};
    if (epoll_ctl(self(p)->epoll, EPOLL_CTL_ADD, fd, &none) < 0)
        return errno != EEXIST;
    (void)epoll_ctl(self(p)->epoll, EPOLL_CTL_DEL, fd, &none);
    return true;
}

static void epoll_arm(struct poller *p, int fd, uint32_t events)
{
    (void)p, (void)fd, (void)events;
}

static uint32_t translate(uint32_t e)
{
    uint32_t out = 0;
    if (e & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        out |= POLLER_READ;
    if (e & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        out |= POLLER_WRITE;
    if (e & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        out |= POLLER_HANGUP;
    if (e == EPOLLERR)
        out |= POLLER_ERROR;
    return out;
}

static int milliseconds(int64_t ns)
{
    if (ns < 0)
        return -1;
    int64_t ms = ns / 1000000 + (ns % 1000000 != 0); /* rounded up, to never wake early and spin */
    return ms > 1000000000 ? 1000000000 : (int)ms;
}

static int kernel_wait(struct epoll_poller *e, int max, int64_t timeout)
{
    struct timespec ts = {.tv_sec = timeout / NS_PER_SECOND, .tv_nsec = timeout % NS_PER_SECOND};
    if (timeout <= 0)
        return epoll_wait(e->epoll, e->events, max, timeout < 0 ? -1 : 0);
    if (!e->coarse) {
        int n = epoll_pwait2(e->epoll, e->events, max, &ts, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        e->coarse = true;
    }
    return epoll_wait(e->epoll, e->events, max, milliseconds(timeout));
}

static void drain_wake(struct epoll_poller *e)
{
    uint64_t count;
    (void)sys_read(e->wake, &count, sizeof count);
}

static int epoll_wait_events(struct poller *p, struct poller_event *events, int max, int64_t timeout)
{
    struct epoll_poller *e = self(p);
    if (hard_syscall(EINTR))
        return 0;
    int n = kernel_wait(e, max < (int)limits.events ? max : (int)limits.events, timeout);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        events[i].data = e->events[i].data.u64;
        events[i].events = translate(e->events[i].events);
        if (events[i].data == POLLER_WAKE)
            drain_wake(e);
    }
    return n;
}

static void epoll_wake(struct poller *p)
{
    uint64_t one = 1;
    int saved = errno; /* signal handlers call this */
    (void)sys_write(self(p)->wake, &one, sizeof one);
    errno = saved;
}

const struct poller_ops poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .descriptor = epoll_descriptor,
    .owns = epoll_owns,
    .add = epoll_add,
    .del = epoll_del,
    .add_shared = epoll_add_shared,
    .lost = epoll_lost,
    .arm = epoll_arm,
    .wait = epoll_wait_events,
    .wake = epoll_wake,
};
