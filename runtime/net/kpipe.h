/* SPDX-License-Identifier: MIT */
/* kpipe.h - kernel pipes for bytes that are spliced from one descriptor to another.
 *
 * Called by conn_move and its face. A copy takes a pipe when bytes are about to pass through it and gives it back once
 * it is empty, so a waiting copy holds none and a few pipes serve many copies. The last copy to end closes the idle
 * pipes. */
#ifndef MOONPARK_KPIPE_H
#define MOONPARK_KPIPE_H

#include "base/base.h"

enum {
    KPIPE_SIZE = 1048576, /* bytes asked for; the system may allow less */
    KPIPE_IDLE = 4,       /* the most idle pipes kept */
};

struct kpipe {
    int from, to; /* where to read and to write; -1: not open */
};

struct kpipes {
    struct kpipe idle[KPIPE_IDLE];
    uint32_t count; /* idle ones */
    uint32_t users;
};

void kpipes_join(struct kpipes *ps);
void kpipes_leave(struct kpipes *ps); /* the last user closes the idle ones */

/* Takes an empty pipe, which is the caller's until it is given back or closed. Returns 0 or -errno. */
int kpipes_take(struct kpipes *ps, struct kpipe *p);

/* Gives an empty pipe back; p is not open afterwards. */
void kpipes_give(struct kpipes *ps, struct kpipe *p);

/* Closes p, whatever is in it; harmless if it is not open. */
void kpipe_close(struct kpipe *p);

#endif
