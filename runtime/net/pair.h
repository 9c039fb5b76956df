/* SPDX-License-Identifier: MIT */
/* pair.h - an in-memory pair of byte streams with the methods and deadlines of a socket.
 *
 * Calls netpoll to report readiness to the other end. Each end is freed by its stream's
 * close; the pair ends with the second. */
#ifndef MOONPARK_PAIR_H
#define MOONPARK_PAIR_H

#include "net/stream.h"

enum { PAIR_CAPACITY = 65536 };

/* Makes both streams (their pd NULL, fd -1). capacity: bytes held in each direction, > 0.
 * 0 or -ENOMEM. A stream that moves says so: stream_placed. */
int pair_open(struct stream *a, struct stream *b, size_t capacity);

/* Reads of s give at most sizes[0], then sizes[1], ... bytes, round and round; copies the array.
 * For tests of what a network may do to a message. 0 or -ENOMEM. */
int pair_fragment(struct stream *s, const uint32_t *sizes, size_t count);

extern const struct stream_ops pair_ops;

#endif
