/* SPDX-License-Identifier: MIT */
/* chunks.h - memory of a shard: chunks of 128 bytes, in chains.
 *
 * Called by shard. A chain holds as many bytes as it has chunks for, so memory never falls to pieces: n free chunks are
 * room for n chunks. Chunks are numbered from 1. The first of a chain begins with its owner's CHUNK_HEAD bytes, the
 * link among them; the others with the link alone. Taking and giving back change a few words, however long the chain
 * is, so they fit in the log (undo.h). */
#ifndef MOONPARK_CHUNKS_H
#define MOONPARK_CHUNKS_H

#include "shared/undo.h"

enum {
    CHUNK = 128,
    CHUNK_HEAD = 48,
    CHUNK_FIRST = CHUNK - CHUNK_HEAD, /* bytes in the first chunk of a chain */
    CHUNK_NEXT = CHUNK - 4,           /* and in each of the others */
};

struct chunks_free { /* in the segment */
    uint32_t first;  /* of the free ones; 0: none */
    uint32_t count;
};

/* What one process knows of them. */
struct chunks {
    char *at;                 /* chunk 1 */
    uint32_t count;
    struct chunks_free *free;
    struct undo *undo;
    void *base;               /* of the undo log's words */
};

struct chunks_chain {
    uint32_t first, last, count;
};

static inline void *chunks_at(const struct chunks *c, uint32_t n) { return c->at + (size_t)(n - 1) * CHUNK; }
static inline uint32_t *chunks_link(const struct chunks *c, uint32_t n) { return chunks_at(c, n); }

void chunks_lay_out(const struct chunks *c); /* all are free; not through the log */

uint64_t chunks_needed(uint64_t bytes);

/* There must be so many free ones. */
struct chunks_chain chunks_take(const struct chunks *c, uint32_t count);
void chunks_give(const struct chunks *c, struct chunks_chain chain);

/* Bytes `at` ... at + n of the chain that begins with chunk `first`. */
void chunks_read(const struct chunks *c, uint32_t first, size_t at, void *to, size_t n);
void chunks_write(const struct chunks *c, uint32_t first, size_t at, const void *from, size_t n);
bool chunks_equal(const struct chunks *c, uint32_t first, size_t at, const void *with, size_t n);

#endif
