/* SPDX-License-Identifier: MIT */
/* netpoll_share.h - the pollDesc of a listener that several processes watch: it comes and goes in the poller.
 *
 * Called by net/share. A worker that is woken for a connection which it does not take has taken that wake from the
 * others. So a listener is in the poller only while this process may accept:
 *
 *   rests   nobody waits on it here: netpoll_arm puts it back
 *   held    this process leaves connections to the others: netpoll_return puts it back
 *
 * The side that a waiter stands on is not changed by either. */
#ifndef MOONPARK_NETPOLL_SHARE_H
#define MOONPARK_NETPOLL_SHARE_H

#include "loop/netpoll.h"

/* Makes pd, whose descriptor is a listening socket, shared. It rests. */
void netpoll_share(struct pollDesc *pd);

void netpoll_rest(struct pollDesc *pd);
void netpoll_hold(struct pollDesc *pd);

/* pd is not held any more. If it does not rest it is in the poller then, which reports what is there already. Harmless
 * if it is there. Returns 0, or -errno of the poller: try again later. */
int netpoll_return(struct pollDesc *pd);

#endif
