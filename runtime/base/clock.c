/* SPDX-License-Identifier: MIT */
/* clock.c - CLOCK_MONOTONIC plus the time that virtual clocks skipped, so that time never runs backwards. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    must(clock_gettime(id, &ts) == 0);
    return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

int64_t clock_now(const struct clock *c)
{
    return c->frozen ? c->now : clock_add(read_clock(CLOCK_MONOTONIC), c->skipped);
}

int64_t clock_real(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t clock_processor(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

/* Frozen, the date moves with the virtual clock: it is the real date of the frozen instant. */
int64_t clock_wall(const struct clock *c)
{
    int64_t ahead = c->frozen ? c->now - read_clock(CLOCK_MONOTONIC) : c->skipped;
    return clock_add(read_clock(CLOCK_REALTIME), ahead);
}

void clock_freeze(struct clock *c)
{
    c->now = clock_now(c);
    c->frozen = true;
}

void clock_thaw(struct clock *c)
{
    if (!c->frozen)
        return;
    int64_t ahead = c->now - read_clock(CLOCK_MONOTONIC);
    c->skipped = ahead > 0 ? ahead : 0;
    c->frozen = false;
}

void clock_advance_to(struct clock *c, int64_t t)
{
    must(c->frozen);
    if (t > c->now)
        c->now = t;
}

int64_t clock_ns(double seconds)
{
    double ns = seconds * 1e9;
    if (ns >= 9.2e18)
        return INT64_MAX;
    if (ns <= -9.2e18)
        return INT64_MIN;
    return (int64_t)ns;
}

int64_t clock_add(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}
