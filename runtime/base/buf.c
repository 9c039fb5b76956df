/* SPDX-License-Identifier: MIT */
/* buf.c - grows by doubling; moves the content to the front before it asks for more memory. */
#define _GNU_SOURCE
#include "base/buf.h"

#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>
#include <string.h>

/* The header's inline functions, for calls that are not inlined. */
extern inline size_t buf_len(const struct buf *b);
extern inline size_t buf_room(const struct buf *b);
extern inline char *buf_reserve(struct buf *b, size_t n);
extern inline void buf_commit(struct buf *b, size_t n);
extern inline void buf_consume(struct buf *b, size_t n);

static void to_front(struct buf *b)
{
    size_t n = buf_len(b);
    if (b->start && n)
        memmove(b->bytes, b->bytes + b->start, n);
    b->start = 0;
    b->end = n;
}

static size_t grown(const struct buf *b, size_t need)
{
    size_t capacity = b->capacity ? b->capacity : limits.buffer;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    return capacity;
}

char *buf_grow(struct buf *b, size_t n)
{
    size_t held = buf_len(b);
    if (n > SIZE_MAX - held)
        return NULL;
    if (held + n > b->capacity) {
        size_t capacity = grown(b, held + n);
        char *bytes = sys_realloc(b->bytes, capacity);
        if (!bytes)
            return NULL;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    if (buf_room(b) < n)
        to_front(b);
    return b->bytes + b->end;
}

int buf_append(struct buf *b, const char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    char *to = buf_reserve(b, n);
    if (!to)
        return -ENOMEM;
    memcpy(to, bytes, n);
    buf_commit(b, n);
    return 0;
}

int buf_prepend(struct buf *b, const char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    if (b->start < n) {
        if (!buf_reserve(b, n))
            return -ENOMEM;
        memmove(b->bytes + b->start + n, b->bytes + b->start, buf_len(b));
        b->start += n;
        b->end += n;
    }
    b->start -= n;
    memcpy(b->bytes + b->start, bytes, n);
    b->searched = 0;
    return 0;
}

size_t buf_drop(struct buf *b, size_t n, char byte)
{
    must(n <= buf_len(b));
    char *first = b->bytes + b->start, *to = first + n;
    for (const char *from = to; from > first;) {
        if (*--from != byte)
            *--to = *from;
    }
    size_t dropped = (size_t)(to - first);
    if (dropped)
        buf_consume(b, dropped);
    return n - dropped;
}

ptrdiff_t buf_find(struct buf *b, const char *what, size_t n)
{
    must(n > 0);
    if (buf_len(b) < n)
        return -1;
    const char *hit = memmem(buf_at(b) + b->searched, buf_len(b) - b->searched, what, n);
    if (hit)
        return hit - buf_at(b);
    b->searched = buf_len(b) - n + 1; /* the last n-1 bytes may begin a match */
    return -1;
}

ptrdiff_t buf_find_from(const struct buf *b, size_t from, const char *what, size_t n)
{
    must(n > 0);
    if (from >= buf_len(b))
        return -1;
    const char *first = buf_at(b) + from;
    size_t left = buf_len(b) - from;
    const char *hit = n == 1 ? memchr(first, *what, left) : memmem(first, left, what, n);
    return hit ? hit - buf_at(b) : -1;
}

void buf_release(struct buf *b)
{
    if (b->bytes && b->start == b->end)
        buf_fini(b);
}

void buf_fini(struct buf *b)
{
    sys_free(b->bytes);
    *b = (struct buf){0};
}

void buf_check(const struct buf *b)
{
    must(b->start <= b->end && b->end <= b->capacity);
    must(b->searched <= buf_len(b));
    must((b->bytes == NULL) == (b->capacity == 0));
}
