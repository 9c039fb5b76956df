/* SPDX-License-Identifier: MIT */
/* timers.h - deadlines in a heap, the earliest on top.
 *
 * A timer lives inside its owner and belongs to it; the heap only points at it. There is no clock here:
 * callers say what time it is.
 *
 * Deadlines move constantly and rarely fire. So moving one later only writes its field; the heap entry, which
 * is too early then, is corrected when it surfaces. Moving it sooner sifts at once. A deleted timer leaves a
 * dead entry; the heap is rebuilt when more than a quarter of it is dead. */
#ifndef MOONPARK_TIMERS_H
#define MOONPARK_TIMERS_H

#include "base/base.h"

struct timer {
    int64_t when;                 /* nanoseconds, monotonic clock; > 0 while armed */
    void (*fire)(struct timer *); /* the owner's; called by loop, never here */
    uint32_t slot;                /* heap index + 1, or 0 while not armed */
};

struct timer_entry {
    int64_t when; /* at most timer->when */
    struct timer *timer; /* NULL: dead */
};

struct timers {
    struct timer_entry *heap;
    uint32_t count, capacity; /* entries, including dead ones */
    uint32_t dead;
};

void timers_init(struct timers *ts);
void timers_fini(struct timers *ts); /* frees the heap; no timer may be used afterwards */

/* Makes room for n more entries, so that the next n timers_set cannot fail. Returns 0 or -ENOMEM. */
int timers_reserve(struct timers *ts, uint32_t n);

/* Arms t for `when` (> 0); an armed timer is moved. Returns 0, or -ENOMEM with t left as it was. */
int timers_set(struct timers *ts, struct timer *t, int64_t when);

/* Disarms t; harmless if it is not armed. */
void timers_del(struct timers *ts, struct timer *t);

/* Returns when the earliest timer is due, or INT64_MAX if none is armed. */
int64_t timers_next(struct timers *ts);

/* Disarms and returns the earliest timer that is due at `now`; NULL if there is none. */
struct timer *timers_pop(struct timers *ts, int64_t now);

/* The number of armed timers. */
static inline uint32_t timers_armed(const struct timers *ts) { return ts->count - ts->dead; }

/* For specs: checks every invariant with must(). */
void timers_check(const struct timers *ts);

#endif
