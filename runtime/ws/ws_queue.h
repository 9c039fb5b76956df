/* SPDX-License-Identifier: MIT */
/* ws_queue.h - frames that many sockets share, and those that one socket has not taken yet.
 *
 * Called by ws_socket, which sends what is queued, and ws_group. */
#ifndef MOONPARK_WS_QUEUE_H
#define MOONPARK_WS_QUEUE_H

#include "base/list.h"

#include <sys/uio.h>

/* A whole frame. It is freed with its last reference. */
struct ws_shared {
    size_t length;
    uint32_t references;
    bool packed; /* compressed on its own: it refers to nothing, and what follows must not refer past it */
    char bytes[];
};

struct ws_shared *ws_queue_share(size_t length); /* one reference, the caller's; NULL: no memory */
void ws_queue_drop(struct ws_shared *s);

/* Zeroed, and then ws_queue_init: empty. */
struct ws_queue {
    struct list frames;
    size_t bytes; /* that have not left */
    size_t at;    /* bytes of the first that have */
};

void ws_queue_init(struct ws_queue *q);
void ws_queue_fini(struct ws_queue *q);
static inline bool ws_queue_is_empty(const struct ws_queue *q) { return list_empty(&q->frames); }

/* Adds a frame, of which `at` bytes have left; if any have, the queue is empty. Takes a reference of its own. Returns 0
 * or -ENOMEM. */
int ws_queue_add(struct ws_queue *q, struct ws_shared *s, size_t at);

/* Fills in the bytes that come next, in at most `most` places; all of them are of frames that are packed, or all are of
 * frames that are not. Returns how many places. */
int ws_queue_gather(const struct ws_queue *q, struct iovec *iov, int most, bool *packed);

/* n of those bytes have left. */
void ws_queue_left(struct ws_queue *q, size_t n);

/* Drops all frames but the rest of one that has left in part. */
void ws_queue_cut(struct ws_queue *q);

#endif
