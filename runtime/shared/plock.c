/* SPDX-License-Identifier: MIT */
/* plock.c - a robust, process-shared mutex of POSIX threads. The holder needs it for less than a sleep costs, so a few
 * tries come first. */
#define _GNU_SOURCE
#include "shared/plock.h"

#include <errno.h>
#include <pthread.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct plock), "a pthread_mutex_t is larger here");

enum { TRIES = 100 };

static pthread_mutex_t *mutex_of(struct plock *p) { return (pthread_mutex_t *)p; }

void plock_init(struct plock *p)
{
    pthread_mutexattr_t kind;
    must(pthread_mutexattr_init(&kind) == 0);
    must(pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0);
    must(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0);
    must(pthread_mutex_init(mutex_of(p), &kind) == 0);
    pthread_mutexattr_destroy(&kind);
}

/* The lines of a waiting processor are free meanwhile; a barrier is the portable pause. */
static int take_soon(pthread_mutex_t *m)
{
    for (int i = 0; i < TRIES; i++) {
        int r = pthread_mutex_trylock(m);
        if (r != EBUSY)
            return r;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return pthread_mutex_lock(m);
}

bool plock_take(struct plock *p)
{
    int r = take_soon(mutex_of(p));
    must(r == 0 || r == EOWNERDEAD);
    return r == EOWNERDEAD;
}

void plock_heal(struct plock *p) { must(pthread_mutex_consistent(mutex_of(p)) == 0); }

void plock_drop(struct plock *p) { must(pthread_mutex_unlock(mutex_of(p)) == 0); }
