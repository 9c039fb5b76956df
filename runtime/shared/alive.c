/* SPDX-License-Identifier: MIT */
/* alive.c - a place is a robust, process-shared mutex that is locked as long as its process lives. Whoever can lock it
 * knows that its process is gone. */
#define _GNU_SOURCE
#include "shared/alive.h"

#include <errno.h>
#include <pthread.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct alive *)0)->places[0]), "a pthread_mutex_t is larger here");

static pthread_mutex_t *mutex_of(struct alive *a, uint32_t place)
{
    must(place >= 1 && place <= ALIVE_MOST);
    return (pthread_mutex_t *)&a->places[place - 1];
}

void alive_init(struct alive *a)
{
    pthread_mutexattr_t kind;
    must(pthread_mutexattr_init(&kind) == 0);
    must(pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0);
    must(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0);
    for (uint32_t place = 1; place <= ALIVE_MOST; place++)
        must(pthread_mutex_init(mutex_of(a, place), &kind) == 0);
    pthread_mutexattr_destroy(&kind);
}

int alive_join(struct alive *a)
{
    for (uint32_t place = 1; place <= ALIVE_MOST; place++)
        if (alive_bury(a, place))
            return (int)place;
    return -EUSERS;
}

/* Another thread than the one that took it is refused: then it is free when that thread has ended. */
void alive_leave(struct alive *a, uint32_t place) { (void)pthread_mutex_unlock(mutex_of(a, place)); }

bool alive_bury(struct alive *a, uint32_t place)
{
    int r = pthread_mutex_trylock(mutex_of(a, place));
    if (r == EOWNERDEAD)
        r = pthread_mutex_consistent(mutex_of(a, place));
    must(r == 0 || r == EBUSY);
    return r == 0;
}
