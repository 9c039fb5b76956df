/* SPDX-License-Identifier: MIT */
/* plock.h - a lock in shared memory, which is free again when the process that holds it dies.
 *
 * Called by dict and counters. It is held for a moment: nothing that waits, allocates without bound or runs Lua may
 * come between. The kernel gives the lock of a dead process to the next one (robust futexes). */
#ifndef MOONPARK_PLOCK_H
#define MOONPARK_PLOCK_H

#include "base/base.h"

struct plock {
    uint64_t space[8]; /* a cache line: a pthread_mutex_t, of which specs know nothing */
};

void plock_init(struct plock *p);

/* Returns true if the last owner died with it. Then the caller, who has the lock, repairs what it protects, and calls
 * plock_heal before it drops the lock. If it dies too, the next one gets true again. */
bool plock_take(struct plock *p);
void plock_heal(struct plock *p);
void plock_drop(struct plock *p);

#endif
