/* SPDX-License-Identifier: MIT */
/* accept.h - what becomes of a listener whose accept has failed.
 *
 * Called by whatever accepts for ever: the HTTP server, and through its face lua/moonpark/net.lua. A client that has
 * left before it was accepted is no failure: socket_accept passes it over. */
#ifndef MOONPARK_ACCEPT_H
#define MOONPARK_ACCEPT_H

#include "base/base.h"

/* How long to rest, in ns, before accepting is tried again after `error`; `last`: the rest before this one, 0 if a
 * client was accepted since. Descriptors and memory come back when clients leave: 5 ms, doubled each time, up to 1 s.
 * 0: any other error stays, so accepting is over. */
int64_t accept_pause(int error, int64_t last);

#endif
