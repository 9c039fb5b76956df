/* SPDX-License-Identifier: MIT */
/* share.h - a worker's part in listeners that several workers share: it counts what it accepts, and leaves accepting to
 * the others while it is ahead of them (board.h has the rule).
 *
 * Called by conn, and for servers that accept without a task by http_server. Knows no connection: a listener is here
 * its pollDesc.
 *
 *   accepts   every listener for which somebody waits is in the poller
 *   holds     none is. It accepts again when one of its connections has closed, when another worker wakes it (through
 *             an eventfd, one for each slot), or when it looks: after 5 ms, then twice as long each time, up to 1 s
 *
 * A wake for a connection may get lost: its worker is stopped, killed, or busy for long. So a look also asks whether
 * connections wait. A holder that finds some, and for 200 ms nobody who accepts any, takes those workers for stuck: it
 * makes them AWAY, so that nobody compares with them, and accepts. Workers that accept look too: the first one every
 * second, the second every two, and so on.
 *
 * A worker that was woken and will not accept (nobody waits, or the system has run out of descriptors) takes the
 * listener out of the poller and wakes another one. */
#ifndef MOONPARK_SHARE_H
#define MOONPARK_SHARE_H

#include "loop/loop.h"
#include "net/board.h"

/* A listener of the share. */
struct shared {
    struct list link;
    struct share *share;
    struct pollDesc *pd;
};

/* Takes a slot of the board in that segment; loop->share is set then. wakes: an eventfd for each slot of the board.
 * Takes over all descriptors unless it fails: -EBUSY: the slot is taken, or the loop has a share already; -EINVAL: no
 * board, not as many wakes as slots, or no such slot; -ENOMEM, ... */
int share_join(struct loop *l, int segment, const int *wakes, uint32_t count, uint32_t slot);

/* Gives the slot back and frees the share, which has no listener any more. NULL is harmless. */
void share_leave(struct share *s);

/* Makes the listener of pd, on which nobody waits, one of the share. Its notify function must call share_woken, and
 * share_declines if nobody accepts. Returns NULL if there is no memory. */
struct shared *share_add(struct share *s, struct pollDesc *pd);

/* Every listener is in the poller from now on, whether somebody waits there or not: for share_leave. Returns 0, or
 * -errno of the poller. */
int share_come_back(struct share *s);

/* Undoes share_add, and lets others look for what waits. pd stays where it is. */
void share_drop(struct shared *sh);

/* May this worker accept now? */
bool share_admits(const struct shared *sh);

/* Accept was tried, and nothing was there: it waits for connections. */
void share_waits(struct shared *sh);

/* It does not accept on this listener until somebody waits there again (netpoll_arm), whatever woke it. */
void share_declines(struct shared *sh);

/* One of its events has come. */
void share_woken(struct shared *sh);

/* A connection was accepted; it has closed. */
void share_took(struct share *s);
void share_lost(struct share *s);
uint32_t share_count(const struct share *s); /* of those that are open */

/* In the supervisor: the worker of that slot has died. Frees the slot, and wakes another worker to look. wakes: all. */
void share_clear(struct board *b, const int *wakes, uint32_t slot);

void share_check(const struct share *s);

#endif
