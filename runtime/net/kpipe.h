/* SPDX-License-Identifier: MIT */
/* kpipe.h - kernel pipes for bytes that are spliced from one descriptor to another.
 *
 * Called by conn_move and its face. A pipe is taken when bytes are about to go through it, and
 * given back when it is empty again: so a copy that waits holds none, and few serve many. The idle ones
 * are closed when nobody copies any more. */
#ifndef MOONPARK_KPIPE_H
#define MOONPARK_KPIPE_H

#include "base/base.h"

enum {
    KPIPE_SIZE = 1048576, /* bytes asked for; the system may allow less */
    KPIPE_IDLE = 4,       /* kept at the most */
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

/* An empty pipe, which is the caller's until it is given back or closed. 0 or -errno. */
int kpipes_take(struct kpipes *ps, struct kpipe *p);

/* Takes an empty one back; p is not open afterwards. */
void kpipes_give(struct kpipes *ps, struct kpipe *p);

/* Closes p, whatever is in it; harmless where it is not open. */
void kpipe_close(struct kpipe *p);

#endif
