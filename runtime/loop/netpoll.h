/* SPDX-License-Identifier: MIT */
/* netpoll.h - two semaphores per descriptor, with deadlines, on top of a poller.
 *
 * Uses poller, timers and sched. The model is Go's runtime/netpoll.go, and its names are kept.
 *
 *   side.g     means
 *   NULL       nothing is known
 *   POLL_READY readiness was reported and not taken yet
 *   a waiter   its task is parked until readiness, deadline or close
 *
 *   side.deadline   0: none    > 0: armed, ns    < 0: passed
 *
 * Order of every change: write the field, then unblock. A waiter checks closing and deadline again after it
 * wakes; if the deadline was moved meanwhile it parks again. One loop thread owns everything.
 *
 * A descriptor may be closed by code that does not know of moonpark. That is noticed when poll(2) says so, when its
 * number is opened again, or by netpoll_look. From then on both sides fail with -EBADF, and the number is not touched.
 *
 * A pollDesc without a descriptor (fd -1) serves in-memory streams: the peer reports readiness. One with a notify
 * function has no waiting tasks: the function receives its events (the resolver's sockets). */
#ifndef MOONPARK_NETPOLL_H
#define MOONPARK_NETPOLL_H

#include "loop/poller.h"
#include "loop/sched.h"

enum { POLL_R = 0, POLL_W = 1 }; /* a side */
enum { MODE_R = 1, MODE_W = 2 }; /* a set of sides, for set_deadline */

struct pollSide {
    struct waiter *g;
    int64_t deadline;
    struct timer timer;
};

struct pollDesc {
    struct netpoll *np;
    struct pollDesc *link; /* the next free one, in pollCache */
    struct pollSide side[2];
    uint32_t slot;  /* its place in pollCache */
    uint32_t fdseq; /* generation: events with a different one are stale */
    int fd;
    bool open;
    bool closing;
    bool lost;      /* other code closed its descriptor: fd is -1 */
    bool event_err; /* a bare EPOLLERR: the descriptor cannot be watched */
    bool tells;     /* no: the next operation reports the error (a rejected datagram) and clears it */
    bool hangup;    /* sticky: the peer ended, reset or sent urgent data */
    bool shared;    /* other processes watch its descriptor too: see netpoll_share.h */
    bool out;       /* of a shared one: it is not in the poller; and why it stays out: */
    bool rests, held;
    uint8_t crossed; /* MODE_R, MODE_W: the other side's readiness also wakes the waiter of that side */
    bool (*notify)(struct pollDesc *pd, uint32_t events); /* receives events first; returns true if it used them up */
    void *owner;                                          /* for notify */
};

struct pollCache {
    struct pollDesc **blocks; /* each POLL_BLOCK long; never moved and never freed */
    uint32_t count, capacity; /* blocks */
    struct pollDesc *first;   /* free */
};

struct netpoll {
    struct poller *poller;
    struct sched *sched;
    struct pollCache cache;
    struct pollDesc **numbers; /* by descriptor: its pollDesc, or NULL */
    uint32_t number_count;
    uint32_t look;    /* the next slot that netpoll_look checks */
    uint32_t opened;  /* pollDescs in use */
    uint32_t waiters; /* tasks parked on one */
    uint32_t cursor;  /* for the hard build's false wakes */
};

void netpoll_init(struct netpoll *np, struct poller *poller, struct sched *sched);
void netpoll_fini(struct netpoll *np);

/* pollOpen: watches fd (-1: none), edge-triggered, both directions, once. Returns 0; ERR_NOT_POLLABLE if the
 * descriptor is a regular file; -EEXIST, -ENOMEM, -ENOSPC, ... The descriptor still belongs to the caller. */
int netpoll_open(struct netpoll *np, int fd, struct pollDesc **out);

/* pollClose: frees pd and advances its generation. Aborts unless netpoll_unblock was called before and no
 * task is parked on it. */
void netpoll_close(struct pollDesc *pd);

/* pollReset: clears old readiness. Returns 0, or ERR_CLOSED, ERR_TIMEOUT, ERR_NOT_POLLABLE, -EBADF (lost). */
int netpoll_reset(struct pollDesc *pd, int side);

/* pollWait for the running task t. Returns 0: ready, and the readiness is taken; SCHED_PARKED; or a failure:
 * those of reset, those of sched_park, and -EBUSY: another task is already waiting there ("double wait").
 * deadline: of this wait only, 0: none. kind->attempt continues with netpoll_waited. */
int netpoll_wait(struct pollDesc *pd, int side, struct task *t, const struct wait_kind *kind,
                 void *object, int64_t deadline);

/* The waiter of that side, which has just taken it, waits for readiness of the other side as well: either wakes it. Its
 * deadline stays its own side's, and a waiter on the other side is not affected. */
void netpoll_cross(struct pollDesc *pd, int side);

/* Called after such a wait was woken. Returns 0: readiness came; SCHED_PARKED: parked again, because the
 * deadline that woke it was moved; or the failure. */
int netpoll_waited(struct task *t);

/* pollWaitCanceled: the same pair for readiness only: closing and deadlines are ignored. */
int netpoll_wait_canceled(struct pollDesc *pd, int side, struct task *t,
                          const struct wait_kind *kind, void *object);

/* The undo function of every kind of wait that parks here. */
void netpoll_undo(struct task *t);

/* For a task that waits for several things at once and parks itself: puts w on the side. Returns 0: it
 * is there; 1: ready, and the readiness is not taken; -EBUSY; or a failure of netpoll_reset. */
int netpoll_watch(struct pollDesc *pd, int side, struct waiter *w);
void netpoll_unwatch(struct pollDesc *pd, int side, struct waiter *w); /* harmless twice */

/* pollSetDeadline: absolute ns; 0: none; negative: passed. mode: MODE_R | MODE_W. A past deadline wakes the
 * waiter now. Does nothing while closing. Returns 0, or -ENOMEM with everything as it was. */
int netpoll_set_deadline(struct pollDesc *pd, int64_t when, int mode);

/* pollUnblock: starts closing; wakes both sides, stops the timers. Readiness is still reported, because
 * pollWaitCanceled needs it. */
void netpoll_unblock(struct pollDesc *pd);

/* netpollready: turns an event of the poller into readiness. Drops stale events. Wakes tasks, runs none. */
void netpoll_ready(struct netpoll *np, const struct poller_event *event);

/* The same for a pollDesc without a descriptor. */
void netpoll_report(struct pollDesc *pd, int side);

/* The same as an event that the poller has reported for pd: its notify function receives it. */
void netpoll_stir(struct pollDesc *pd, uint32_t events);

/* Checks the next n slots: was a descriptor that a task waits for closed by other code? */
void netpoll_look(struct netpoll *np, uint32_t n);

/* The same check for one descriptor number, whether a task waits or not. */
void netpoll_look_at(struct netpoll *np, int fd);

/* The number of slots. */
uint32_t netpoll_slots(const struct netpoll *np);

/* From now on notify receives pd's events (POLLER_READ ...) as they are decoded, before any task runs. It returns true
 * if it used the event up; otherwise the event becomes readiness as usual. It may wake tasks and close pollDescs,
 * including this one. Events that it did not use up must be asked for again by netpoll_arm. NULL: stops this. */
void netpoll_notify(struct pollDesc *pd, bool (*notify)(struct pollDesc *, uint32_t), void *owner);

/* Tells a back end that reports levels to look again, once. */
void netpoll_arm(struct pollDesc *pd, int side);

/* The same without a parked task: a hangup is wanted, other events are not. */
void netpoll_arm_hangup(struct pollDesc *pd);

/* Is a task, or a select, parked on one of its sides? */
bool netpoll_has_waiter(const struct pollDesc *pd);

/* Would a task parked on that side be woken from outside, by the kernel or a deadline? */
bool netpoll_outside(const struct pollDesc *pd, int side);

/* When the side's deadline passes: ns, 0: none. For reports. */
int64_t netpoll_deadline(const struct pollDesc *pd, int side);

/* Is readiness known and not taken? */
bool netpoll_is_ready(const struct pollDesc *pd, int side);

/* Hard build: wakes one waiter for nothing. */
void netpoll_false_wake(struct netpoll *np);

/* The pollDesc of that slot, or NULL: for walks over all of them. */
struct pollDesc *netpoll_slot(const struct netpoll *np, uint32_t slot);

void netpoll_check(const struct netpoll *np);

/* What its events carry. */
static inline uint64_t netpoll_data(const struct pollDesc *pd)
{
    return (uint64_t)pd->slot << 32 | pd->fdseq;
}

/* Puts a shared one, which is out, into the poller. Returns 0, or -errno of the poller. */
static inline int netpoll_enter(struct pollDesc *pd)
{
    struct poller *p = pd->np->poller;
    int r = pd->out ? p->ops->add_shared(p, pd->fd, netpoll_data(pd)) : 0;
    if (r < 0)
        return r;
    pd->out = false;
    p->ops->arm(p, pd->fd, POLLER_READ);
    return 0;
}

#endif
