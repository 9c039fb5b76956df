/* SPDX-License-Identifier: MIT */
/* netpoll.h - the seed: two semaphores a descriptor, with deadlines, on top of a poller.
 *
 * Calls poller, timers, sched. The model is Go's runtime/netpoll.go, and its names are kept.
 *
 *   side.g     means
 *   NULL       nothing is known
 *   POLL_READY readiness was reported and nobody has taken it yet
 *   a waiter   that task is parked until readiness, deadline or close
 *
 *   side.deadline   0: none    > 0: armed, ns    < 0: passed
 *
 * Order of every change: write the field, then unblock. A waiter looks at closing and deadline again
 * after it wakes; where the deadline was moved meanwhile it parks again. One loop thread owns it all.
 *
 * A descriptor may be closed by code that knows nothing of us. That is noticed when poll(2) says so, when its number is
 * opened anew, or by netpoll_look: then both sides fail with -EBADF, now and for ever, and nobody touches the number.
 *
 * A pollDesc without a descriptor (fd -1) serves in-memory streams: its peer reports readiness. One with a
 * function has no waiting tasks: the function hears of its events (the resolver's sockets). */
#ifndef MOONPARK_NETPOLL_H
#define MOONPARK_NETPOLL_H

#include "loop/poller.h"
#include "loop/sched.h"

enum { POLL_R = 0, POLL_W = 1 }; /* a side */
enum { MODE_R = 1, MODE_W = 2 }; /* a set of sides, as set_deadline takes it */

struct pollSide {
    struct waiter *g;
    int64_t deadline;
    struct timer timer;
};

struct pollDesc {
    struct netpoll *np;
    struct pollDesc *link; /* the next free one, in pollCache */
    struct pollSide side[2];
    uint32_t slot;  /* where pollCache has it */
    uint32_t fdseq; /* generation: an event with another one is stale */
    int fd;
    bool open;
    bool closing;
    bool lost;      /* its descriptor was closed behind our back: fd is -1 */
    bool event_err; /* a bare EPOLLERR: the descriptor cannot be watched */
    bool tells;     /* not so: the next operation tells the error (a datagram that came back), and all is well */
    bool hangup;    /* sticky: the peer ended, reset or sent urgent data */
    uint8_t crossed; /* MODE_R, MODE_W: who waits on that side is woken by the other one's readiness, too */
    bool (*notify)(struct pollDesc *pd, uint32_t events); /* hears of events first; true: nobody else does */
    void *owner;                                          /* notify's */
};

struct pollCache {
    struct pollDesc **blocks; /* each POLL_BLOCK long, never moved and never given back */
    uint32_t count, capacity; /* blocks */
    struct pollDesc *first;   /* free */
};

struct netpoll {
    struct poller *poller;
    struct sched *sched;
    struct pollCache cache;
    struct pollDesc **numbers; /* by descriptor: its pollDesc, or NULL */
    uint32_t number_count;
    uint32_t look;    /* the next slot that netpoll_look looks at */
    uint32_t opened;  /* pollDescs in use */
    uint32_t waiters; /* tasks parked on one */
    uint32_t cursor;  /* of the hard build's false wakes */
};

void netpoll_init(struct netpoll *np, struct poller *poller, struct sched *sched);
void netpoll_fini(struct netpoll *np);

/* pollOpen: watches fd (-1: none), edge-triggered, both directions, once. 0; ERR_NOT_POLLABLE where
 * the descriptor is a regular file; -EEXIST, -ENOMEM, -ENOSPC, ... The descriptor stays the caller's. */
int netpoll_open(struct netpoll *np, int fd, struct pollDesc **out);

/* pollClose: gives pd back, the generation moves on. Only after netpoll_unblock and with nobody parked;
 * else it aborts. */
void netpoll_close(struct pollDesc *pd);

/* pollReset: forgets old readiness. 0, or ERR_CLOSED, ERR_TIMEOUT, ERR_NOT_POLLABLE, -EBADF: lost. */
int netpoll_reset(struct pollDesc *pd, int side);

/* pollWait for the running task t: 0: ready, and the readiness is taken; SCHED_PARKED; or a failure:
 * those of reset, those of sched_park, and -EBUSY: somebody waits there already ("double wait").
 * deadline: of this wait alone, 0: none. kind->attempt goes on with netpoll_waited. */
int netpoll_wait(struct pollDesc *pd, int side, struct task *t, const struct wait_kind *kind,
                 void *object, int64_t deadline);

/* The waiter of that side, which has just taken it, waits for readiness of the other side as well: it is woken by
 * either. Its deadline, and whoever waits on the other side, have nothing to do with that. */
void netpoll_cross(struct pollDesc *pd, int side);

/* After a wake of such a wait: 0: readiness came; SCHED_PARKED: parked again, because the deadline
 * that woke it has been moved; or the failure. */
int netpoll_waited(struct task *t);

/* pollWaitCanceled: the same pair, for readiness alone: closing and deadlines are ignored. */
int netpoll_wait_canceled(struct pollDesc *pd, int side, struct task *t,
                          const struct wait_kind *kind, void *object);

/* The undo of every kind that parks here. */
void netpoll_undo(struct task *t);

/* For a task that waits for several things at once and parks by itself: w takes the side. 0: it
 * stands there; 1: ready, and the readiness is left; -EBUSY; or a failure as of netpoll_reset. */
int netpoll_watch(struct pollDesc *pd, int side, struct waiter *w);
void netpoll_unwatch(struct pollDesc *pd, int side, struct waiter *w); /* harmless twice */

/* pollSetDeadline: absolute ns; 0: none; negative: passed. mode: MODE_R | MODE_W. What is past wakes
 * the waiter now. Does nothing once closing. 0 or -ENOMEM with everything as it was. */
int netpoll_set_deadline(struct pollDesc *pd, int64_t when, int mode);

/* pollUnblock: closing from now on; wakes both sides, stops the timers. Readiness is still reported, as
 * pollWaitCanceled needs it. */
void netpoll_unblock(struct pollDesc *pd);

/* netpollready: a poller's event becomes readiness. Stale events are dropped. Wakes, runs nothing. */
void netpoll_ready(struct netpoll *np, const struct poller_event *event);

/* The same for a pollDesc without a descriptor. */
void netpoll_report(struct pollDesc *pd, int side);

/* The same as an event that the poller has reported for pd: what notify is for hears of it. */
void netpoll_stir(struct pollDesc *pd, uint32_t events);

/* Looks whether descriptors that somebody waits for were closed behind our back, those of the next n slots. */
void netpoll_look(struct netpoll *np, uint32_t n);

/* The same of the one that has that number, whoever waits. */
void netpoll_look_at(struct netpoll *np, int fd);

/* How many slots there are, in all. */
uint32_t netpoll_slots(const struct netpoll *np);

/* From now on notify hears of pd's events (POLLER_READ ...) as they are decoded, before any task; true: the event is
 * used up, else it becomes readiness as ever. It may wake tasks and close pollDescs, this one too. What it has not used
 * up it must ask for again by netpoll_arm. NULL: no more. */
void netpoll_notify(struct pollDesc *pd, bool (*notify)(struct pollDesc *, uint32_t), void *owner);

/* A back end that reports levels is told to look again, once. */
void netpoll_arm(struct pollDesc *pd, int side);

/* The same where nobody parks: the event of a hangup is wanted, whatever else is not. */
void netpoll_arm_hangup(struct pollDesc *pd);

/* Is a task, or a select, parked on one of its sides? */
bool netpoll_has_waiter(const struct pollDesc *pd);

/* Would somebody parked on that side be woken from outside, by the kernel or a deadline? */
bool netpoll_outside(const struct pollDesc *pd, int side);

/* When the side's deadline passes: ns, 0: none. For reports. */
int64_t netpoll_deadline(const struct pollDesc *pd, int side);

/* Is readiness known and not taken? */
bool netpoll_is_ready(const struct pollDesc *pd, int side);

/* Hard build: wakes one waiter that has nothing to do. */
void netpoll_false_wake(struct netpoll *np);

/* The pollDesc of that slot, NULL where there is none: for walks over all of them. */
struct pollDesc *netpoll_slot(const struct netpoll *np, uint32_t slot);

void netpoll_check(const struct netpoll *np);

#endif
