/* SPDX-License-Identifier: MIT */
/* poller.h - the kernel half: which descriptors became ready. The semaphore half is netpoll.
 *
 * Called by netpoll. One constant table per back end: poller_epoll.c on Linux, poller_poll.c everywhere. A back end
 * is one file, poller_NAME.c with the table poller_NAME, and one line in its system's list: pollers_linux.c.
 *
 * The contract is edge-triggered: a descriptor is added once for both directions, and an event says
 * that something happened, not that it still holds. A back end that can only report levels (poll) is
 * told by `arm` that somebody parks, and reports that direction once. Every event carries the 64 bits
 * it was added with; the wake descriptor's are POLLER_WAKE, in the same name space. */
#ifndef MOONPARK_POLLER_H
#define MOONPARK_POLLER_H

#include "base/base.h"

enum {
    POLLER_READ = 1,   /* reading would not block, or would tell why it never will again */
    POLLER_WRITE = 2,  /* the same of writing */
    POLLER_HANGUP = 4, /* the peer ended, reset, or sent urgent data: a short read proves nothing now */
    POLLER_ERROR = 8,  /* an error and nothing else: the descriptor cannot be watched */
    POLLER_LOST = 16,  /* it was closed: as `lost` */
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
    int (*descriptor)(const struct poller *p); /* the poller's own, or -1 where there is none */
    bool (*owns)(const struct poller *p, int fd); /* does the poller itself use that descriptor? */

    /* Watches fd. 0, -EPERM where it cannot be watched, -EEXIST, -ENOMEM, ... */
    int (*add)(struct poller *p, int fd, uint64_t data);
    void (*del)(struct poller *p, int fd);

    /* Has what was added as fd been closed since, by whoever it was, so that the number is free, or another file's? As
     * far as the system can tell. Changes nothing. */
    bool (*lost)(struct poller *p, int fd);

    void (*arm)(struct poller *p, int fd, uint32_t events);

    /* Fills at most `max` events; returns how many, 0 on timeout or interruption, or -errno.
     * timeout: nanoseconds, negative: none. */
    int (*wait)(struct poller *p, struct poller_event *events, int max, int64_t timeout);

    /* Ends a wait, now or the next; from a signal handler or another thread too. */
    void (*wake)(struct poller *p);
};

/* Opens the back end of that name, or the system's best where name is NULL or "". -EINVAL: unknown. */
int poller_open(struct poller **p, const char *name);

/* Writes what there is into text, of n bytes (at least 1): "epoll, poll". Returns text. */
const char *poller_names(char *text, size_t n);

/* What this system has, the best first, and NULL at the end. */
extern const struct poller_ops *const pollers[];

#endif
