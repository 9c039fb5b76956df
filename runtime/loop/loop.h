/* SPDX-License-Identifier: MIT */
/* loop.h - one turn: run ready tasks, poll, hand out readiness, fire timers.
 *
 * Owns clock, timers, poller, netpoll and sched of one Lua state. Runs no Lua itself: it
 * hands every ready task to `run`. All events of a poll are decoded before any task runs.
 * `until` bounds in real time how long it runs: a test's limit must hold in virtual time too. */
#ifndef MOONPARK_LOOP_H
#define MOONPARK_LOOP_H

#include "base/clock.h"
#include "loop/netpoll.h"
#include "loop/pool.h"
#include "loop/sched.h"
#include "loop/timers.h"

struct dgrams;

enum loop_state {
    LOOP_GOES_ON,
    LOOP_ENDED,    /* no task is alive */
    LOOP_DEADLOCK, /* tasks are parked, and nothing outside can wake any of them */
    LOOP_STOPPED,  /* `until` has come; the tasks are as they were */
};

/* Something that is done once, after tasks have run and before the poller is asked. Linked while it is to be done. */
struct late {
    struct list link;
    void (*run)(struct late *late);
};

struct loop {
    struct clock clock;
    struct timers timers;
    struct poller *poller;
    struct pool *pool; /* NULL until the first job */
    struct netpoll netpoll;
    struct sched sched;
    int64_t until;     /* clock_real ns from which on a turn is the last and does not block; 0: never */
    struct list conns; /* open ones, by conn.link: for reports and for the end */
    struct poller_event *events;
    uint32_t unlooked; /* slots of netpoll that were not looked at since a task has run */
    int64_t look_at;   /* ns: when the next of them are, whatever else there is to do */
    struct list late;  /* by late.link */
    char *scratch; /* limits.scratch bytes; holds one read between its attempt and its push */
    struct dgrams *datagrams; /* where datagrams are received; NULL until there is a packet socket */
    void (*run)(struct loop *l, struct task *t);
    void (*idle)(struct loop *l);  /* nothing is ready: about to block */
    void (*woken)(struct loop *l); /* the wake descriptor was signalled */
};

/* poller: a back end's name, or NULL for the best. 0 or a negative code with nothing left open. */
int loop_open(struct loop *l, const char *poller);
void loop_close(struct loop *l);

/* One turn; may block. An enum loop_state, or the poller's -errno. */
int loop_turn(struct loop *l);

/* Has `late` run before the loop asks the poller next; harmless twice. What asks for it while it runs comes a turn
 * later. */
static inline void loop_late(struct loop *l, struct late *late)
{
    if (list_empty(&late->link))
        list_push(&l->late, &late->link);
}

/* Hands j to the helper threads: as pool_submit. Virtual time stands still while a job is waited for. */
int loop_submit(struct loop *l, struct job *j, struct job **owner);

/* The clock now, ns: what somebody's time begins from is counted from this. sched.now is the last such reading, made
 * when the poller returned or later: it serves for `since`, and wherever a whole turn more or less does not matter. */
int64_t loop_now(struct loop *l);

#endif
