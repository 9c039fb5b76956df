/* SPDX-License-Identifier: MIT */
/* alive.h - which processes use a segment, kept by the kernel: a place is free again when its process has died.
 *
 * Called by segment and plock. A process that opens a segment takes a place in it and keeps it; its number stands in the
 * locks that it holds (plock.h). A place belongs to the thread that took it. A process that forks must not use it in
 * the child. */
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
