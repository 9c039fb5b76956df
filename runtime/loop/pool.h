/* SPDX-License-Identifier: MIT */
/* pool.h - helper threads for blocking calls that no poller can wait for: those on files.
 *
 * Uses clock and the poller's wake; owned by loop, which opens it for the first job.
 *
 *   state     means                                    leaves by
 *   QUEUED    no thread has started it                 a thread takes it: RUNNING
 *   RUNNING   a thread is in its `run`                 `run` returns: FINISHED
 *   FINISHED  the loop has been woken for it           pool_collect: DONE, and `done` is called
 *   DONE      belongs to its owner alone               pool_release: freed
 *
 * An owner may release its job in any state. A job that no thread has started is freed at once; a running
 * job continues in its thread and is freed when it is collected. So a waiting task can leave at any moment,
 * and whatever a job opened is closed by its `drop`. Threads block all signals. */
#ifndef MOONPARK_POOL_H
#define MOONPARK_POOL_H

#include "base/list.h"
#include "loop/poller.h"

enum { POOL_THREADS = 4 };

enum job_state { JOB_NEW, JOB_QUEUED, JOB_RUNNING, JOB_FINISHED, JOB_DONE };

/* The first member of a job's struct, which holds everything the job needs: its thread touches nothing else. */
struct job {
    struct list link;            /* the pool's */
    struct job **owner;          /* points at it until it is freed; NULL: released */
    void (*run)(struct job *j);  /* in a helper thread */
    void (*done)(struct job *j); /* on the loop's thread, unless it was released */
    void (*drop)(struct job *j); /* frees everything, including itself; on any thread */
    uint8_t state;               /* enum job_state; the pool's, under its lock */
    bool unwanted;               /* released while a thread was running it; atomic */
    bool under_way;              /* submitted and not collected; used by the loop's thread only */
};

struct pool;

/* Starts no thread yet. NULL: no memory. */
struct pool *pool_open(struct poller *poller);

/* Frees the jobs that no thread has started, waits for the running ones, and ends the threads. A thread that
 * hangs in the system (a FIFO without a writer, a dead file server) is abandoned after some seconds. */
void pool_close(struct pool *p);

/* Queues a new j, and starts a thread if none is idle. Returns 0; or -EAGAIN, -ENOMEM if there is no thread
 * at all, and then j still belongs to the caller. *owner is j until it is freed, then NULL. */
int pool_submit(struct pool *p, struct job *j, struct job **owner);

/* The owner no longer wants j. */
void pool_release(struct pool *p, struct job *j);

/* For j's `run`: false if j was released meanwhile. That may also happen a moment later: `drop` handles it. */
bool pool_is_wanted(const struct job *j);

/* The loop was woken: collects the finished jobs. p may be NULL, here and below. */
void pool_collect(struct pool *p);

/* The number of jobs that have an owner. */
uint32_t pool_awaited(const struct pool *p);

/* The number of jobs that are not collected yet, including released ones. */
uint32_t pool_jobs(const struct pool *p);

/* How many of those no thread has started. */
uint32_t pool_queued(struct pool *p);

void pool_check(struct pool *p);

#endif
