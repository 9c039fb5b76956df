/* SPDX-License-Identifier: MIT */
/* pair.h - an in-memory pair of byte streams with the methods and deadlines of a socket.
 *
 * Calls netpoll to report readiness to the other end. Closing a stream frees its end; closing the second one frees the
 * pair. */
#ifndef MOONPARK_PAIR_H
#define MOONPARK_PAIR_H

#include "net/stream.h"

enum { PAIR_CAPACITY = 65536 };

/* Makes both streams (pd NULL, fd -1). capacity: bytes held in each direction, > 0. Returns 0 or -ENOMEM.
 * Call stream_placed after moving a stream. */
int pair_open(struct stream *a, struct stream *b, size_t capacity);

/* Limits the reads of s to sizes[0], then sizes[1], ... bytes, and starts over at the end; copies the array.
 * For tests of how a network may split a message. Returns 0 or -ENOMEM. */
int pair_fragment(struct stream *s, const uint32_t *sizes, size_t count);

extern const struct stream_ops pair_ops;

#endif
