/* SPDX-License-Identifier: MIT */
/* plock.h - a lock in shared memory that can be taken from a process that has died.
 *
 * Called by dict and counters. It is held for a moment: nothing that waits, allocates or runs Lua may come between.
 * Taking it is one atomic instruction, and dropping it a store: the word is the place of its owner in alive.h, which is
 * asked only when the lock stays taken. */
#ifndef MOONPARK_PLOCK_H
#define MOONPARK_PLOCK_H

#include "shared/alive.h"

struct plock {
    uint32_t owner; /* 0: free */
};

/* Waits for it. Returns true if it was taken from a dead process. */
bool plock_wait(struct plock *p, struct alive *a, uint32_t me);

/* Returns true if its last owner died with it: then the caller, who has it, repairs what it protects. If the caller
 * dies too, the next one gets true again. */
static inline bool plock_take(struct plock *p, struct alive *a, uint32_t me)
{
    uint32_t is_free = 0;
    if (__atomic_compare_exchange_n(&p->owner, &is_free, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    return plock_wait(p, a, me);
}

static inline void plock_drop(struct plock *p) { __atomic_store_n(&p->owner, 0, __ATOMIC_RELEASE); }

#endif
