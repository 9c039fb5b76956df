/* SPDX-License-Identifier: MIT */
/* segment.h - memory that processes share: one sealed file in memory, mapped, with a header that says what it is.
 *
 * Called by dict and counters. A segment is at another address in each process, so nothing in it is a pointer. Whoever
 * opens a fresh one first lays it out; a process that is killed while it does so leaves a fresh one. */
#ifndef MOONPARK_SEGMENT_H
#define MOONPARK_SEGMENT_H

#include "shared/alive.h"

enum {
    SEGMENT_NAME_MAX = 127,   /* bytes of a name */
    SEGMENT_KIND_MAX = 15,    /* bytes of a kind */
    SEGMENT_HEADER = 256,     /* bytes */
    SEGMENT_CONTENTS = SEGMENT_HEADER + sizeof(struct alive), /* where they begin */
};

/* Why a descriptor is not the segment that is wanted. */
enum segment_reason {
    SEGMENT_OTHER_KIND = 1,
    SEGMENT_OTHER_NAME,
    SEGMENT_OTHER_SIZE,
    SEGMENT_NOT_ONE, /* no sealed file in memory, or of another layout */
    SEGMENT_DAMAGED, /* its contents do not hold together */
};

struct segment {
    char *base;       /* NULL: not open */
    uint64_t size;    /* bytes, header included */
    struct alive *alive;
    uint32_t me;      /* this process's place in it */
    uint32_t spare;
    uint64_t seed[2]; /* random, the same in all processes */
    char kind[SEGMENT_KIND_MAX + 1]; /* what the file says it is, also after SEGMENT_OTHER_KIND */
    char name[SEGMENT_NAME_MAX + 1];
};

struct segment_want {
    const char *kind, *name;
    uint64_t size;
    void (*lay_out)(struct segment *s); /* fills fresh contents, which are zero; NULL: they stay so */
};

/* Maps it, and takes a place in it; fd stays the caller's, who may close it. Returns 0, -errno or a reason; then s is
 * not open, and s->kind, name and size say what is there. */
int segment_open(struct segment *s, int fd, const struct segment_want *want);
void segment_close(struct segment *s); /* may be called again */

#endif
