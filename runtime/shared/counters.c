/* SPDX-License-Identifier: MIT */
/* counters.c - a name is written from its second byte on, then the first: a process that is killed before leaves the
 * place free. */
#include "shared/counters.h"

#include "shared/plock.h"

#include <string.h>

_Static_assert(sizeof(struct counter) == 64, "a counter is a cache line");

struct body {
    struct plock lock;
    char apart[60];
    struct counter counters[(COUNTERS_SIZE - SEGMENT_CONTENTS) / sizeof(struct counter) - 1];
};

static struct body *body_of(const struct segment *s) { return (struct body *)(s->base + SEGMENT_CONTENTS); }

static struct body *take(struct counters *c)
{
    struct body *b = body_of(&c->segment);
    (void)plock_take(&b->lock, c->segment.alive, c->segment.me); /* nothing is ever half done: no repair */
    return b;
}

int counters_open(struct counters *c, int fd, const char *name)
{
    struct segment_want want = {.kind = "counters", .name = name, .size = COUNTERS_SIZE};
    int r = segment_open(&c->segment, fd, &want);
    if (r == 0 && body_of(&c->segment)->lock.owner == c->segment.me)
        plock_drop(&body_of(&c->segment)->lock); /* of the last one who had our place */
    if (r == 0 && counters_fault(c)) {
        segment_close(&c->segment);
        r = SEGMENT_DAMAGED;
    }
    return r;
}

void counters_close(struct counters *c) { segment_close(&c->segment); }

static void name_it(struct counter *at, const char *name)
{
    at->value = 0;
    strncpy(at->name + 1, name + 1, COUNTERS_NAME_MAX - 1);
    __atomic_store_n(at->name, name[0], __ATOMIC_RELEASE);
}

struct counter *counters_find(struct counters *c, const char *name)
{
    must(name[0] != '\0' && strlen(name) <= COUNTERS_NAME_MAX);
    struct body *b = take(c);
    struct counter *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(b->counters) && !found; i++) {
        struct counter *at = &b->counters[i];
        if (at->name[0] == '\0')
            name_it(at, name);
        if (strncmp(at->name, name, sizeof at->name) == 0)
            found = at;
    }
    plock_drop(&b->lock);
    return found;
}

int64_t counters_get(const struct counter *c) { return __atomic_load_n(&c->value, __ATOMIC_SEQ_CST); }

bool counters_add(struct counter *c, int64_t by, int64_t *sum)
{
    int64_t before = __atomic_load_n(&c->value, __ATOMIC_RELAXED);
    do {
        *sum = before + by;
        if (*sum > COUNTERS_LIMIT || *sum < -COUNTERS_LIMIT)
            return false;
    } while (!__atomic_compare_exchange_n(&c->value, &before, *sum, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

void counters_set(struct counter *c, int64_t value) { __atomic_store_n(&c->value, value, __ATOMIC_SEQ_CST); }

static const char *fault(const struct body *b)
{
    bool ended = false;
    for (size_t i = 0; i < ARRAY_LEN(b->counters); i++) {
        const struct counter *at = &b->counters[i];
        int64_t value = counters_get(at);
        ended = ended || at->name[0] == '\0';
        if (ended && at->name[0] != '\0')
            return "a counter stands behind a free place";
        if (at->name[COUNTERS_NAME_MAX] != '\0')
            return "a counter's name has no end";
        if (value > COUNTERS_LIMIT || value < -COUNTERS_LIMIT)
            return "a counter is out of range";
    }
    return NULL;
}

const char *counters_fault(struct counters *c)
{
    struct body *b = take(c);
    const char *wrong = fault(b);
    plock_drop(&b->lock);
    return wrong;
}
