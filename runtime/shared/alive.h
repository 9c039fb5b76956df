/* SPDX-License-Identifier: MIT */
/* alive.h - which processes use a segment, kept by the kernel: a place is free again when its process has died.
 *
 * Called by segment and plock. A process that opens a segment takes a place in it and keeps it; the place's number is
 * written in the locks that the process holds (plock.h). A place belongs to the thread that took it. A forked child
 * that does not call exec must not use its parent's place: if it died with a lock, the parent would seem to have it. */
#ifndef MOONPARK_ALIVE_H
#define MOONPARK_ALIVE_H

#include "base/base.h"

enum { ALIVE_MOST = 256 }; /* processes */

struct alive { /* in the segment */
    struct {
        uint64_t space[8]; /* a pthread_mutex_t, of which specs know nothing */
    } places[ALIVE_MOST];
};

void alive_init(struct alive *a);

/* Returns the number of a place, 1 ... ALIVE_MOST, or -EUSERS: all are taken by living processes. */
int alive_join(struct alive *a);
void alive_leave(struct alive *a, uint32_t place);

/* Takes the place of a process that has died or left; false if it lives. alive_leave gives it back. */
bool alive_bury(struct alive *a, uint32_t place);

#endif
