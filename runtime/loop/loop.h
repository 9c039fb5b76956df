/* SPDX-License-Identifier: MIT */
/* loop.h - one turn: run ready tasks, poll, hand out readiness, fire timers.
 *
 * Owns clock, timers, poller, netpoll and sched of one Lua state. Runs no Lua itself: it hands every ready
 * task to `run`. All events of a poll are decoded before any task runs. `until` limits the run in real time:
 * the time limit of a test must hold in virtual time too. */
#ifndef MOONPARK_LOOP_H
#define MOONPARK_LOOP_H

#include "base/clock.h"
#include "loop/heartbeat.h"
#include "loop/netpoll.h"
#include "loop/pool.h"
#include "loop/sched.h"
#include "loop/timers.h"

struct dgrams;
struct share;

enum loop_state {
    LOOP_GOES_ON,
    LOOP_ENDED,    /* no task is alive */
    LOOP_DEADLOCK, /* tasks are parked, and nothing outside can wake any of them */
    LOOP_STOPPED,  /* `until` was reached; the tasks stay as they were */
};

/* A piece of work that runs once, after tasks have run and before the next poll. Linked while it is pending. */
struct late {
    struct list link;
    void (*run)(struct late *late);
};

/* A piece of work that takes long, such as a handshake: few of them run in one turn, so that a storm of them does not
 * stop all others. Its owner unlinks it before it is freed. */
struct ration {
    struct list link; /* initialised; linked while it waits */
    void (*turn)(struct ration *r); /* called when its turn has come: it may ask again */
    bool granted;
};

enum { LOOP_RATION = 4 };

struct loop {
    struct clock clock;
    struct timers timers;
    struct poller *poller;
    struct pool *pool; /* NULL until the first job */
    struct netpoll netpoll;
    struct sched sched;
    struct heartbeat *beat;   /* this loop's own, or a shared one; never NULL once it is open */
    struct heartbeat own_beat;
    volatile int unwatched;   /* `watch` is to be called when tasks run again: a signal handler sets it */
    void (*watch)(struct loop *l);
    int64_t until;     /* clock_real ns: a turn from then on is the last one and does not block; 0: never */
    struct list conns; /* the open ones, by conn.link: for reports and for shutdown */
    struct poller_event *events;
    uint32_t unlooked; /* netpoll slots that were not checked since a task last ran */
    int64_t look_at;   /* ns: when the next of them are checked, however busy the loop is */
    struct list late;  /* by late.link */
    struct list rationed;  /* by ration.link, those that wait */
    struct late ration;    /* gives out the turns */
    uint32_t rationed_now; /* turns that this turn of the loop has given */
    char *scratch; /* limits.scratch bytes; holds one read between its attempt and its push */
    struct dgrams *datagrams; /* buffers for received datagrams; NULL until there is a packet socket */
    struct share *share;      /* this worker's part in listeners that several share; NULL: it has none */
    void (*run)(struct loop *l, struct task *t);
    void (*idle)(struct loop *l);  /* called when nothing is ready, before it blocks */
    void (*woken)(struct loop *l); /* called when the wake descriptor was signalled */
};

/* poller: the name of a back end, or NULL for the best. Returns 0, or a negative code with nothing left open. */
int loop_open(struct loop *l, const char *poller);
void loop_close(struct loop *l);

/* From now on the loop writes its heartbeat there; NULL: into its own memory. */
void loop_beat_at(struct loop *l, struct heartbeat *beat);

/* The running task begins something new, as if it had been resumed: how long it holds the loop is counted from here. */
static inline void loop_beat(struct loop *l) { l->beat->resumes++; }

/* Runs one turn; may block. Returns an enum loop_state, or the poller's -errno. */
int loop_turn(struct loop *l);

/* Makes `late` run before the next poll; harmless twice. Called from within a late function, it takes effect in the
 * next turn. */
static inline void loop_late(struct loop *l, struct late *late)
{
    if (list_empty(&late->link))
        list_push(&l->late, &late->link);
}

/* May r's work be done now? If not, it waits, and r->turn is called in a later turn. */
bool loop_ration(struct loop *l, struct ration *r);

/* Hands j to the helper threads; see pool_submit. Virtual time stands still while a task waits for a job. */
int loop_submit(struct loop *l, struct job *j, struct job **owner);

/* Reads the clock, ns: time limits count from this. sched.now is the last such reading, made when the poller returned
 * or later: use it for `since`, and where the length of a turn does not matter. */
int64_t loop_now(struct loop *l);

#endif
