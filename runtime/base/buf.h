/* SPDX-License-Identifier: MIT */
/* buf.h - a growing byte buffer: appended to at the end, consumed at the front, with a mark of what was searched.
 *
 * Belongs to its owner. Holds no memory after it was released, because ten thousand idle connections
 * each have one. */
#ifndef MOONPARK_BUF_H
#define MOONPARK_BUF_H

#include "base/base.h"

struct buf {
    char *bytes;
    size_t start, end; /* the content is bytes[start..end) */
    size_t capacity;
    size_t searched; /* bytes from start in which buf_find found nothing */
};

inline size_t buf_len(const struct buf *b) { return b->end - b->start; }
static inline const char *buf_at(const struct buf *b) { return b->bytes + b->start; }

/* How many bytes may be written after the end without another reserve. */
inline size_t buf_room(const struct buf *b) { return b->capacity - b->end; }

/* Makes room for n more bytes when there is not enough; returns what buf_reserve returns. */
char *buf_grow(struct buf *b, size_t n);

/* Makes room for n more bytes at the end. Returns where to write, or NULL: no memory, nothing changed. */
inline char *buf_reserve(struct buf *b, size_t n)
{
    return buf_room(b) >= n ? b->bytes + b->end : buf_grow(b, n);
}

/* n bytes were written after the end. */
inline void buf_commit(struct buf *b, size_t n)
{
    must(n <= buf_room(b));
    b->end += n;
}

/* Appends a copy of n bytes. Returns 0 or -ENOMEM. */
int buf_append(struct buf *b, const char *bytes, size_t n);

/* Puts a copy of n bytes in front of the others. Returns 0 or -ENOMEM. */
int buf_prepend(struct buf *b, const char *bytes, size_t n);

/* Drops n bytes at the front. */
inline void buf_consume(struct buf *b, size_t n)
{
    must(n <= buf_len(b));
    b->start += n;
    b->searched = b->searched > n ? b->searched - n : 0;
    if (b->start == b->end)
        b->start = b->end = 0;
}

/* Drops each `byte` among the first n; returns how many of them are left. */
size_t buf_drop(struct buf *b, size_t n, char byte);

/* Returns where `what` (n > 0 bytes) begins, counted from the front, or -1. Bytes that were searched are not
 * searched again; call buf_rewind before looking for something else. */
ptrdiff_t buf_find(struct buf *b, const char *what, size_t n);
static inline void buf_rewind(struct buf *b) { b->searched = 0; }

/* The same from an offset on, whatever was searched. -1 also if that lies behind the end. */
ptrdiff_t buf_find_from(const struct buf *b, size_t from, const char *what, size_t n);

/* Frees the memory if the buffer is empty. */
void buf_release(struct buf *b);

/* Frees the memory, whatever the buffer holds. */
void buf_fini(struct buf *b);

void buf_check(const struct buf *b);

#endif
