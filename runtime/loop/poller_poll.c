/* SPDX-License-Identifier: MIT */
/* poller_poll.c - poll(2), the portable back end: makes levels look like edges.
 * A direction is watched only from `arm` to its first event. Descriptors without a waiter are passed to
 * the kernel negated, because poll reports hangups even if they were not asked for. */
#define _GNU_SOURCE
#include "loop/poller.h"

#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <string.h>

extern const struct poller_ops poller_poll; /* the table at the end */

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

struct place {
    uint64_t data;
    struct sys_identity id; /* at the time it was added */
};

struct poll_poller {
    struct poller base;
    int wake[2];
    struct pollfd *fds; /* [0] is the wake pipe */
    struct place *places; /* of the same index */
    uint32_t count, capacity;
    uint32_t cursor; /* where the next collection begins, so that none is skipped for ever */
    uint32_t *index; /* by descriptor: its place in fds, 0 if it is not watched */
    uint32_t index_capacity;
};

static struct poll_poller *self(const struct poller *p)
{
    return container_of(p, struct poll_poller, base);
}

static int grow_places(struct poll_poller *w)
{
    if (w->count < w->capacity)
        return 0;
    uint32_t capacity = w->capacity ? w->capacity * 2 : 16;
    struct pollfd *fds = sys_realloc(w->fds, capacity * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    w->fds = fds;
    struct place *places = sys_realloc(w->places, capacity * sizeof *places);
    if (!places)
        return -ENOMEM;
    w->places = places;
    w->capacity = capacity;
    return 0;
}

static int grow_index(struct poll_poller *w, int fd)
{
    uint32_t need = (uint32_t)fd + 1;
    if (need <= w->index_capacity)
        return 0;
    uint32_t capacity = w->index_capacity ? w->index_capacity : 64;
    while (capacity < need)
        capacity *= 2;
    uint32_t *index = sys_realloc(w->index, capacity * sizeof *index);
    if (!index)
        return -ENOMEM;
    memset(index + w->index_capacity, 0, (capacity - w->index_capacity) * sizeof *index);
    w->index = index;
    w->index_capacity = capacity;
    return 0;
}

static void poll_close(struct poller *p)
{
    struct poll_poller *w = self(p);
    for (int i = 0; i < 2; i++)
        if (w->wake[i] >= 0)
            sys_close(w->wake[i]);
    sys_free(w->fds);
    sys_free(w->places);
    sys_free(w->index);
    sys_free(w);
}

static int open_wake(struct poll_poller *w)
{
    int r = sys_pipe(w->wake);
    if (r < 0)
        return r;
    r = grow_places(w);
    if (r < 0)
        return r;
    w->fds[0] = (struct pollfd){.fd = w->wake[0], .events = POLLIN};
    w->places[0].data = POLLER_WAKE;
    w->count = 1;
    return 0;
}

static int poll_open(struct poller **p)
{
    struct poll_poller *w = sys_alloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    w->base.ops = &poller_poll;
    w->wake[0] = w->wake[1] = -1;
    int r = open_wake(w);
    if (r < 0) {
        poll_close(&w->base);
        return r;
    }
    *p = &w->base;
    return 0;
}

static int poll_descriptor(const struct poller *p)
{
    (void)p;
    return -1;
}

static bool poll_owns(const struct poller *p, int fd)
{
    return fd == self(p)->wake[0] || fd == self(p)->wake[1];
}

static int poll_add(struct poller *p, int fd, uint64_t data)
{
    struct poll_poller *w = self(p);
    if (fd < 0)
        return -EBADF;
    struct sys_identity id;
    int r = sys_is_file(fd, &id); /* files are always "ready": refuse them at once, as epoll does */
    if (r != 0)
        return r < 0 ? r : -EPERM;
    r = grow_index(w, fd);
    if (r < 0)
        return r;
    if (w->index[fd])
        return -EEXIST;
    r = grow_places(w);
    if (r < 0)
        return r;
    w->fds[w->count] = (struct pollfd){.fd = ~fd};
    w->places[w->count] = (struct place){.data = data, .id = id};
    w->index[fd] = w->count++;
    return 0;
}

static int real_fd(int fd) { return fd < 0 ? ~fd : fd; }

static void poll_del(struct poller *p, int fd)
{
    struct poll_poller *w = self(p);
    must(fd >= 0 && (uint32_t)fd < w->index_capacity && w->index[fd]);
    uint32_t place = w->index[fd], last = --w->count;
    w->index[fd] = 0;
    if (place == last)
        return;
    w->fds[place] = w->fds[last];
    w->places[place] = w->places[last];
    w->index[real_fd(w->fds[place].fd)] = place;
}

static bool poll_lost(struct poller *p, int fd)
{
    struct poll_poller *w = self(p);
    struct sys_identity id, was = w->places[w->index[fd]].id;
    int r = sys_is_file(fd, &id);
    return r == -EBADF || (r >= 0 && (id.inode != was.inode || id.device != was.device));
}

static void poll_arm(struct poller *p, int fd, uint32_t events)
{
    struct poll_poller *w = self(p);
    struct pollfd *f = &w->fds[w->index[fd]];
    f->fd = fd;
    if (events & POLLER_READ)
        f->events |= POLLIN | POLLPRI | POLLRDHUP;
    if (events & POLLER_WRITE)
        f->events |= POLLOUT;
    if (events & POLLER_HANGUP)
        f->events |= POLLRDHUP;
}

static uint32_t translate(short e)
{
    uint32_t out = 0;
    if (e & (POLLIN | POLLPRI | POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
        out |= POLLER_READ;
    if (e & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
        out |= POLLER_WRITE;
    if (e & (POLLPRI | POLLRDHUP | POLLHUP | POLLERR))
        out |= POLLER_HANGUP;
    if (e == POLLERR)
        out |= POLLER_ERROR;
    if (e & POLLNVAL)
        out |= POLLER_LOST;
    return out;
}

/* A reported direction is not watched again until a task parks. */
static void disarm(struct pollfd *f, uint32_t events)
{
    if (events & POLLER_READ)
        f->events &= ~(POLLIN | POLLPRI | POLLRDHUP);
    if (events & POLLER_WRITE)
        f->events &= ~POLLOUT;
    if (!f->events)
        f->fd = ~real_fd(f->fd);
}

static void drain_wake(struct poll_poller *w)
{
    char bytes[64];
    while (sys_read(w->wake[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        ;
}

/* If more than `max` are ready, the others stay armed for the next call. If the number belongs to another file now, its
 * events are not reported to the waiters of the old one. */
static int collect(struct poll_poller *w, struct poller_event *events, int max)
{
    int n = 0;
    uint32_t i = w->cursor;
    for (uint32_t seen = 0; seen < w->count && n < max; seen++, i++) {
        i = i < w->count ? i : 0;
        struct pollfd *f = &w->fds[i];
        if (!f->revents)
            continue;
        events[n].data = w->places[i].data;
        events[n].events = i > 0 && poll_lost(&w->base, f->fd) ? POLLER_LOST : translate(f->revents);
        if (i == 0)
            drain_wake(w);
        else
            disarm(f, events[n].events);
        n++;
    }
    w->cursor = i;
    return n;
}

static int poll_wait(struct poller *p, struct poller_event *events, int max, int64_t timeout)
{
    struct poll_poller *w = self(p);
    int n = sys_poll(w->fds, w->count, timeout);
    if (n <= 0)
        return n == -EINTR ? 0 : n;
    return collect(w, events, max);
}

static void poll_wake(struct poller *p)
{
    int saved = errno; /* signal handlers call this */
    (void)sys_write(self(p)->wake[1], "w", 1);
    errno = saved;
}

const struct poller_ops poller_poll = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .descriptor = poll_descriptor,
    .owns = poll_owns,
    .add = poll_add,
    .del = poll_del,
    .add_shared = poll_add, /* all are woken, and one of them finds the connection */
    .lost = poll_lost,
    .arm = poll_arm,
    .wait = poll_wait,
    .wake = poll_wake,
};
