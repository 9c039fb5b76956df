/* SPDX-License-Identifier: MIT */
/* pool.h - helper threads for calls that block and that no poller knows of: those on files.
 *
 * Calls clock and the poller's wake; owned by loop, which opens it with the first job.
 *
 *   state     means                                    leaves by
 *   QUEUED    no thread has begun with it              a thread takes it: RUNNING
 *   RUNNING   a thread is in its `run`                 `run` returns: FINISHED
 *   FINISHED  the loop has been woken for it           pool_collect: DONE, and `done` is called
 *   DONE      its owner's alone                        pool_release: freed
 *
 * An owner may release its job in any state. One that no thread has begun with is freed at once; one that
 * is under way goes on in its thread and is freed when it is collected. So who waits can leave at any
 * moment, and whatever a job has opened is closed by its `drop`. Threads block all signals. */
#ifndef MOONPARK_POOL_H
#define MOONPARK_POOL_H

#include "base/list.h"
#include "loop/poller.h"

enum { POOL_THREADS = 4 };

enum job_state { JOB_NEW, JOB_QUEUED, JOB_RUNNING, JOB_FINISHED, JOB_DONE };

/* The first member of what a job needs. It embeds all of that: its thread touches nothing else. */
struct job {
    struct list link;            /* the pool's */
    struct job **owner;          /* points at it until it is freed; NULL: nobody wants it any more */
    void (*run)(struct job *j);  /* in a helper thread */
    void (*done)(struct job *j); /* on the loop's thread, where somebody still wants it */
    void (*drop)(struct job *j); /* gives everything back, itself included; in any thread */
    uint8_t state;               /* enum job_state; the pool's, under its lock */
    bool unwanted;               /* released while a thread was at it; atomic */
    bool under_way;              /* submitted and not collected; the loop's thread alone looks at it */
};

struct pool;

/* NULL: no memory. Starts no thread yet. */
struct pool *pool_open(struct poller *poller);

/* Frees the jobs that nobody has begun with, waits for those under way, and ends the threads. A thread that
 * hangs in the system (a FIFO without a writer, a dead file server) is left behind after some seconds. */
void pool_close(struct pool *p);

/* Queues a new j, and starts a thread where none is idle: 0; or -EAGAIN, -ENOMEM where there is no thread
 * at all, and j stays the caller's. *owner is j until it is freed, then NULL. */
int pool_submit(struct pool *p, struct job *j, struct job **owner);

/* Nobody wants j any more. */
void pool_release(struct pool *p, struct job *j);

/* In j's `run`: false where it was released meanwhile. It may be so a moment later, too: `drop` has the last word. */
bool pool_is_wanted(const struct job *j);

/* The loop was woken: takes the finished ones. p may be NULL, here and below. */
void pool_collect(struct pool *p);

/* Jobs that somebody waits for. */
uint32_t pool_awaited(const struct pool *p);

/* Jobs that are not collected yet, released ones included. */
uint32_t pool_jobs(const struct pool *p);

/* Of those, which no thread has begun with. */
uint32_t pool_queued(struct pool *p);

void pool_check(struct pool *p);

#endif
