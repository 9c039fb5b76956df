/* SPDX-License-Identifier: MIT */
/* pool.c - one lock over three lists. Fields that only the loop's thread uses (owner, the counts of jobs) need no
 * lock; it is also held when an owner is removed at the end, because threads may have been abandoned. */
#define _GNU_SOURCE
#include "loop/pool.h"

#include "base/clock.h"
#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#define PATIENCE (2 * NS_PER_SECOND) /* at the end, for jobs under way */

struct helper {
    struct pool *pool;
    pthread_t thread;
    bool over; /* it no longer touches the pool */
};

struct pool {
    struct poller *poller;
    pthread_mutex_t lock; /* for all that follows except the last two counts */
    pthread_cond_t work;  /* a job was queued, or the pool is ending */
    pthread_cond_t over;  /* a helper has ended */
    struct list queued, running, finished;
    struct helper helpers[POOL_THREADS];
    uint32_t started; /* helpers */
    uint32_t waiting; /* jobs queued */
    uint32_t idle;    /* helpers that wait for a job */
    bool ending;
    uint32_t jobs;    /* not collected */
    uint32_t awaited; /* of those, with an owner */
};

/* ---- in the helper threads; the lock is held except during `run` ---- */

static struct job *next_job(struct pool *p)
{
    while (p->waiting == 0 && !p->ending) {
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    if (p->ending)
        return NULL;
    p->waiting--;
    return container_of(list_pop(&p->queued), struct job, link);
}

static void run_job(struct pool *p, struct job *j)
{
    j->state = JOB_RUNNING;
    list_push(&p->running, &j->link);
    pthread_mutex_unlock(&p->lock);
    j->run(j);
    pthread_mutex_lock(&p->lock);
    list_del(&j->link);
    if (p->ending) { /* the loop is gone or ending */
        j->drop(j);
        return;
    }
    j->state = JOB_FINISHED;
    if (list_empty(&p->finished)) /* otherwise it has been woken already */
        p->poller->ops->wake(p->poller);
    list_push(&p->finished, &j->link);
}

static void *help(void *argument)
{
    struct helper *h = argument;
    struct pool *p = h->pool;
    pthread_mutex_lock(&p->lock);
    for (struct job *j; (j = next_job(p));)
        run_job(p, j);
    h->over = true;
    pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- in the loop's thread ---- */

static int start_helper(struct pool *p)
{
    struct helper *h = &p->helpers[p->started];
    sigset_t all, before;
    int fault = hard_syscall(EAGAIN);
    if (fault)
        return fault;
    h->pool = p;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits that */
    int r = -pthread_create(&h->thread, NULL, help, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->started += r == 0;
    return r;
}

struct pool *pool_open(struct poller *poller)
{
    struct pool *p = sys_alloc(sizeof *p);
    pthread_condattr_t monotonic;
    if (!p)
        return NULL;
    p->poller = poller;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&p->queued);
    list_init(&p->running);
    list_init(&p->finished);
    return p;
}

/* As many idle helpers as queued jobs, including j: a helper that was signalled may not have woken yet. */
static int provide_helper(struct pool *p)
{
    if (p->idle > p->waiting || p->started == POOL_THREADS)
        return 0;
    int r = start_helper(p);
    return p->started > 0 ? 0 : r;
}

int pool_submit(struct pool *p, struct job *j, struct job **owner)
{
    must(j->state == JOB_NEW);
    pthread_mutex_lock(&p->lock);
    int r = provide_helper(p);
    if (r == 0) {
        j->state = JOB_QUEUED;
        j->owner = owner;
        list_push(&p->queued, &j->link);
        p->waiting++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    if (r < 0)
        return r;
    *owner = j;
    j->under_way = true;
    p->jobs++;
    p->awaited++;
    return 0;
}

/* Removes it from the queue, unless a thread was faster. */
static bool withdraw(struct pool *p, struct job *j)
{
    pthread_mutex_lock(&p->lock);
    bool queued = j->state == JOB_QUEUED;
    if (queued) {
        list_del(&j->link);
        p->waiting--;
    }
    __atomic_store_n(&j->unwanted, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&p->lock);
    return queued;
}

bool pool_is_wanted(const struct job *j) { return !__atomic_load_n(&j->unwanted, __ATOMIC_RELAXED); }

static void disown(struct job *j)
{
    if (j->owner)
        *j->owner = NULL;
    j->owner = NULL;
}

void pool_release(struct pool *p, struct job *j)
{
    disown(j);
    if (!j->under_way) {
        j->drop(j);
        return;
    }
    p->awaited--;
    if (withdraw(p, j)) {
        p->jobs--;
        j->drop(j);
    }
}

static struct job *take_finished(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct list *link = list_pop(&p->finished);
    pthread_mutex_unlock(&p->lock);
    return link ? container_of(link, struct job, link) : NULL;
}

void pool_collect(struct pool *p)
{
    for (struct job *j; p && (j = take_finished(p));) {
        p->jobs--;
        if (!j->owner) {
            j->drop(j);
            continue;
        }
        p->awaited--;
        j->under_way = false;
        j->state = JOB_DONE;
        j->done(j);
    }
}

uint32_t pool_awaited(const struct pool *p) { return p ? p->awaited : 0; }
uint32_t pool_jobs(const struct pool *p) { return p ? p->jobs : 0; }

uint32_t pool_queued(struct pool *p)
{
    if (!p)
        return 0;
    pthread_mutex_lock(&p->lock);
    uint32_t n = p->waiting;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static void free_all(struct list *jobs)
{
    for (struct list *l; (l = list_pop(jobs));) {
        struct job *j = container_of(l, struct job, link);
        disown(j);
        j->drop(j);
    }
}

static bool all_over(const struct pool *p)
{
    for (uint32_t i = 0; i < p->started; i++)
        if (!p->helpers[i].over)
            return false;
    return true;
}

/* True if all ended in time. */
static bool await_helpers(struct pool *p)
{
    int64_t until = clock_real() + PATIENCE;
    struct timespec ts = {.tv_sec = until / NS_PER_SECOND, .tv_nsec = until % NS_PER_SECOND};
    while (!all_over(p))
        if (pthread_cond_timedwait(&p->over, &p->lock, &ts) == ETIMEDOUT)
            return all_over(p);
    return true;
}

void pool_close(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    p->waiting = 0;
    free_all(&p->queued);
    free_all(&p->finished);
    for (struct list *l = p->running.next; l != &p->running; l = l->next)
        disown(container_of(l, struct job, link));
    pthread_cond_broadcast(&p->work);
    bool over = await_helpers(p);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->started; i++)
        if (over)
            pthread_join(p->helpers[i].thread, NULL);
        else
            pthread_detach(p->helpers[i].thread);
    if (!over)
        return; /* p stays for the threads that hang, until the process ends */
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->over);
    pthread_mutex_destroy(&p->lock);
    sys_free(p);
}

void pool_check(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    must(list_length(&p->queued) == p->waiting);
    must(p->started <= POOL_THREADS && p->idle <= p->started);
    must(p->awaited <= p->jobs);
    must(p->waiting + list_length(&p->running) + list_length(&p->finished) == p->jobs);
    pthread_mutex_unlock(&p->lock);
}
