/* SPDX-License-Identifier: MIT */
/* timers.c - a 4-ary heap: half as deep as a binary one, and a node's children share a cache line.
 * An entry's `when` is never later than its timer's, so the heap order errs only on the early side. */
#include "loop/timers.h"

#include "base/sys.h"

#include <errno.h>

enum { ARITY = 4, FIRST_CAPACITY = 64 };

static void put(struct timers *ts, uint32_t i, struct timer_entry e)
{
    ts->heap[i] = e;
    if (e.timer)
        e.timer->slot = i + 1;
}

static void sift_up(struct timers *ts, uint32_t i, struct timer_entry e)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / ARITY;
        if (ts->heap[parent].when <= e.when)
            break;
        put(ts, i, ts->heap[parent]);
        i = parent;
    }
    put(ts, i, e);
}

static uint32_t least_child(const struct timers *ts, uint32_t i)
{
    uint32_t first = i * ARITY + 1, least = first;
    for (uint32_t c = first + 1; c < first + ARITY && c < ts->count; c++)
        if (ts->heap[c].when < ts->heap[least].when)
            least = c;
    return least;
}

static void sift_down(struct timers *ts, uint32_t i, struct timer_entry e)
{
    while (i * ARITY + 1 < ts->count) {
        uint32_t child = least_child(ts, i);
        if (e.when <= ts->heap[child].when)
            break;
        put(ts, i, ts->heap[child]);
        i = child;
    }
    put(ts, i, e);
}

static void drop_top(struct timers *ts)
{
    ts->dead -= ts->heap[0].timer == NULL;
    struct timer_entry last = ts->heap[--ts->count];
    if (ts->count > 0)
        sift_down(ts, 0, last);
}

/* Drops dead entries and reorders the others; outdated entries are corrected on the way. */
static void purge(struct timers *ts)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ts->count; i++)
        if (ts->heap[i].timer)
            put(ts, kept++, (struct timer_entry){ts->heap[i].timer->when, ts->heap[i].timer});
    ts->count = kept;
    ts->dead = 0;
    if (kept < 2)
        return;
    for (uint32_t i = (kept - 2) / ARITY + 1; i-- > 0;)
        sift_down(ts, i, ts->heap[i]);
}

/* Brings the true earliest entry to the top: drops dead ones, moves outdated ones down to their time. */
static void settle_top(struct timers *ts)
{
    while (ts->count > 0) {
        struct timer_entry top = ts->heap[0];
        if (top.timer && top.timer->when == top.when)
            return;
        if (!top.timer) {
            drop_top(ts);
            continue;
        }
        top.when = top.timer->when;
        sift_down(ts, 0, top);
    }
}

void timers_init(struct timers *ts)
{
    *ts = (struct timers){0};
}

void timers_fini(struct timers *ts)
{
    sys_free(ts->heap);
    *ts = (struct timers){0};
}

int timers_reserve(struct timers *ts, uint32_t n)
{
    if (ts->capacity - ts->count >= n)
        return 0;
    uint32_t capacity = ts->capacity ? ts->capacity * 2 : FIRST_CAPACITY;
    while (capacity - ts->count < n)
        capacity *= 2;
    struct timer_entry *heap = sys_realloc(ts->heap, capacity * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    ts->heap = heap;
    ts->capacity = capacity;
    return 0;
}

int timers_set(struct timers *ts, struct timer *t, int64_t when)
{
    must(when > 0);
    if (t->slot) {
        uint32_t i = t->slot - 1;
        t->when = when;
        if (when < ts->heap[i].when)
            sift_up(ts, i, (struct timer_entry){when, t});
        return 0;
    }
    int r = timers_reserve(ts, 1);
    if (r < 0)
        return r;
    t->when = when;
    sift_up(ts, ts->count++, (struct timer_entry){when, t});
    return 0;
}

void timers_del(struct timers *ts, struct timer *t)
{
    if (!t->slot)
        return;
    uint32_t i = t->slot - 1;
    t->slot = 0;
    if (i == ts->count - 1) {
        ts->count--;
        return;
    }
    ts->heap[i].timer = NULL;
    ts->dead++;
    if (ts->dead > ts->count / 4)
        purge(ts);
}

int64_t timers_next(struct timers *ts)
{
    settle_top(ts);
    return ts->count ? ts->heap[0].when : INT64_MAX;
}

struct timer *timers_pop(struct timers *ts, int64_t now)
{
    if (timers_next(ts) > now || ts->count == 0)
        return NULL;
    struct timer *t = ts->heap[0].timer;
    drop_top(ts);
    t->slot = 0;
    return t;
}

void timers_check(const struct timers *ts)
{
    uint32_t dead = 0;
    must(ts->count <= ts->capacity);
    for (uint32_t i = 0; i < ts->count; i++) {
        const struct timer_entry *e = &ts->heap[i];
        dead += e->timer == NULL;
        must(!e->timer || (e->timer->slot == i + 1 && e->timer->when >= e->when));
        must(i == 0 || ts->heap[(i - 1) / ARITY].when <= e->when);
    }
    must(dead == ts->dead);
}
