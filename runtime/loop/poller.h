/* SPDX-License-Identifier: MIT */
/* poller.h - the kernel half: which descriptors became ready. The semaphore half is netpoll.
 *
 * One constant table per back end: poller_epoll.c on Linux, poller_poll.c everywhere. Another one is a file, such as
 * poller_kqueue.c, and a line in its system's list (pollers_linux.c).
 *
 * The contract is edge-triggered: a descriptor is added once for both directions, and an event says
 * that something happened, not that it still holds. A back end that can only report levels (poll) learns
 * from `arm` that a task parks, and reports that direction once. Every event carries the 64 bits that were
 * given to `add`; those of the wake descriptor are POLLER_WAKE, in the same name space. */
#ifndef MOONPARK_POLLER_H
#define MOONPARK_POLLER_H

#include "base/base.h"

enum {
    POLLER_READ = 1,   /* a read would not block, or would report why reading has ended */
    POLLER_WRITE = 2,  /* the same for writing */
    POLLER_HANGUP = 4, /* the peer ended, reset or sent urgent data: now a short read proves nothing */
    POLLER_ERROR = 8,  /* only an error: the descriptor cannot be watched */
    POLLER_LOST = 16,  /* it was closed: see `lost` */
};

#define POLLER_WAKE UINT64_MAX

struct poller_event {
    uint64_t data;
    uint32_t events;
};

struct poller {
    const struct poller_ops *ops;
};

struct poller_ops {
    const char *name;
    int (*open)(struct poller **p);
    void (*close)(struct poller *p);
    int (*descriptor)(const struct poller *p); /* the poller's own, or -1 if it has none */
    bool (*owns)(const struct poller *p, int fd); /* does the poller itself use this descriptor? */

    /* Watches fd. Returns 0, -EPERM if it cannot be watched, -EEXIST, -ENOMEM, ... */
    int (*add)(struct poller *p, int fd, uint64_t data);
    void (*del)(struct poller *p, int fd);

    /* The same as add for a listening socket that other processes watch too, and only for reading. As far as the system
     * can, a connection then wakes one of those that wait; otherwise all of them. */
    int (*add_shared)(struct poller *p, int fd, uint64_t data);

    /* Was the file that was added as fd closed since, by any code, so that the number is free or another file's? As
     * far as the system can tell. Changes nothing. */
    bool (*lost)(struct poller *p, int fd);

    void (*arm)(struct poller *p, int fd, uint32_t events);

    /* Fills in at most `max` events. Returns how many, 0 on timeout or interruption, or -errno.
     * timeout: nanoseconds, negative: none. */
    int (*wait)(struct poller *p, struct poller_event *events, int max, int64_t timeout);

    /* Ends the current or the next wait; may be called from signal handlers and other threads. */
    void (*wake)(struct poller *p);
};

/* Opens the back end of that name, or the system's best if name is NULL or "". -EINVAL: unknown. */
int poller_open(struct poller **p, const char *name);

/* Writes what there is into text, of n bytes (at least 1): "epoll, poll". Returns text. */
const char *poller_names(char *text, size_t n);

/* What this system has, the best first, and NULL at the end. */
extern const struct poller_ops *const pollers[];

#endif
