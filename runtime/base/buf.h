/* SPDX-License-Identifier: MIT */
/* buf.h - growing bytes: read at the end, consumed at the front, with a mark of what was searched.
 *
 * Belongs to its owner. Holds no memory while empty and released, because ten thousand idle
 * connections each have one. */
#ifndef MOONPARK_BUF_H
#define MOONPARK_BUF_H

#include "base/base.h"

struct buf {
    char *bytes;
    size_t start, end; /* what is held: bytes[start..end) */
    size_t capacity;
    size_t searched; /* bytes from start in which buf_find found nothing */
};

inline size_t buf_len(const struct buf *b) { return b->end - b->start; }
static inline const char *buf_at(const struct buf *b) { return b->bytes + b->start; }

/* How many bytes may be written behind the end without another reserve. */
inline size_t buf_room(const struct buf *b) { return b->capacity - b->end; }

/* Makes room for n more bytes, where there is not enough; as buf_reserve. */
char *buf_grow(struct buf *b, size_t n);

/* Room for n more bytes at the end; where to write, or NULL: no memory, nothing changed. */
inline char *buf_reserve(struct buf *b, size_t n)
{
    return buf_room(b) >= n ? b->bytes + b->end : buf_grow(b, n);
}

/* n bytes were written behind the end. */
inline void buf_commit(struct buf *b, size_t n)
{
    must(n <= buf_room(b));
    b->end += n;
}

/* Copies n bytes in; 0 or -ENOMEM. */
int buf_append(struct buf *b, const char *bytes, size_t n);

/* Drops n bytes at the front. */
inline void buf_consume(struct buf *b, size_t n)
{
    must(n <= buf_len(b));
    b->start += n;
    b->searched = b->searched > n ? b->searched - n : 0;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* Where `what` (n > 0 bytes) begins, counted from the front, or -1. Does not search twice what it
 * has searched; call buf_rewind before looking for something else. */
ptrdiff_t buf_find(struct buf *b, const char *what, size_t n);
static inline void buf_rewind(struct buf *b) { b->searched = 0; }

/* Gives the memory back where nothing is held. */
void buf_release(struct buf *b);

/* Gives the memory back whatever is held. */
void buf_fini(struct buf *b);

void buf_check(const struct buf *b);

#endif
