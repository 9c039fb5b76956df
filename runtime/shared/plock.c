/* SPDX-License-Identifier: MIT */
/* plock.c - the owner needs it for less time than a sleep takes, so a waiter looks often before it asks whether the
 * owner lives. If it does, it has been interrupted: then its processor may be the waiter's.
 *
 * A futex would wake the waiter, but dropping the lock would take a second atomic instruction each time. */
#include "shared/plock.h"

#include "base/sys_memory.h"

enum { TRIES = 200 };
static const int64_t FIRST_NAP = 20000, LONGEST_NAP = 1000000; /* ns */

static bool try_some(struct plock *p, uint32_t me)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t owner = __atomic_load_n(&p->owner, __ATOMIC_RELAXED);
        if (owner == 0 && __atomic_compare_exchange_n(&p->owner, &owner, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* takes a while, and leaves the line to the owner */
    }
    return false;
}

/* While its place is held nobody can take it, so that the owner in the lock is the dead one. */
static bool inherit(struct plock *p, struct alive *a, uint32_t me)
{
    uint32_t owner = __atomic_load_n(&p->owner, __ATOMIC_RELAXED), dead = owner;
    if (owner == 0 || !alive_bury(a, owner))
        return false;
    bool mine = __atomic_compare_exchange_n(&p->owner, &dead, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    alive_leave(a, owner);
    return mine;
}

bool plock_wait(struct plock *p, struct alive *a, uint32_t me)
{
    for (int64_t nap = FIRST_NAP;; nap = nap < LONGEST_NAP ? nap * 2 : nap) {
        if (try_some(p, me))
            return false;
        if (inherit(p, a, me))
            return true;
        sys_nap(nap);
    }
}
