/* SPDX-License-Identifier: MIT */
/* clock.h - monotonic nanoseconds and the wall clock; the only file that asks the system for the time.
 *
 * A virtual clock stands still until it is moved, so a test can make a year pass in one line.
 * Its owner (the loop) moves it to the next timer when nothing else can happen. */
#ifndef MOONPARK_CLOCK_H
#define MOONPARK_CLOCK_H

#include "base/base.h"

struct clock {
    bool frozen;      /* virtual: `now` is the time */
    int64_t now;      /* ns, while frozen */
    int64_t skipped;  /* ns that virtual time ran ahead of the system's, kept for the wall clock */
};

int64_t clock_now(const struct clock *c);  /* ns, monotonic, > 0 */
int64_t clock_wall(const struct clock *c); /* ns since 1970-01-01 UTC */
int64_t clock_real(void);                  /* ns, monotonic, whatever virtual time says */
int64_t clock_processor(void);             /* ns of processor time used by this process; for signal handlers too */

void clock_freeze(struct clock *c);
void clock_thaw(struct clock *c);                  /* continues from the virtual time, never back */
void clock_advance_to(struct clock *c, int64_t t); /* frozen only; an earlier t is ignored */

/* A script's seconds as nanoseconds. Pinned to the ends of the range, so that a huge number never wraps. */
int64_t clock_ns(double seconds);

/* a + b without overflow: pinned to INT64_MAX. */
int64_t clock_add(int64_t a, int64_t b);

#endif
