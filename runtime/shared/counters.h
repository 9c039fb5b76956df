/* SPDX-License-Identifier: MIT */
/* counters.h - whole numbers with names that processes share, all in one segment.
 *
 * Called by l_shared. Each counter is a cache line, and changes by one atomic instruction; the lock is only for finding
 * it by its name. Counters are never given back. */
#ifndef MOONPARK_COUNTERS_H
#define MOONPARK_COUNTERS_H

#include "shared/segment.h"

enum {
    COUNTERS_SIZE = 65536,    /* bytes of the segment */
    COUNTERS_NAME_MAX = 55,   /* bytes of a counter's name */
};

#define COUNTERS_LIMIT INT64_C(9007199254740992) /* 2^53: a counter is at most that far from 0 */

struct counters {
    struct segment segment;
};

struct counter { /* in the segment: a cache line */
    int64_t value;
    char name[COUNTERS_NAME_MAX + 1]; /* empty: free */
};

/* As dict_open. */
int counters_open(struct counters *c, int fd, const char *name);
void counters_close(struct counters *c);

/* The counter of that name, which begins at 0; NULL: there is no room for another one. It lives as long as the
 * segment is open. */
struct counter *counters_find(struct counters *c, const char *name);

int64_t counters_get(const struct counter *c);

/* Adds by, which is within the limit. Returns false, with nothing changed, if the sum would be beyond the limit. */
bool counters_add(struct counter *c, int64_t by, int64_t *sum);
void counters_set(struct counter *c, int64_t value);

/* What is wrong with them, or NULL. */
const char *counters_fault(struct counters *c);

#endif
