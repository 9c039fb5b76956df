/* SPDX-License-Identifier: MIT */
/* accept.h - what a listener does after accept has failed: pause and try again, or stop.
 *
 * Called by every accept loop: the HTTP server's, and (through its face) the one in lua/moonpark/net.lua. A client that
 * left before it was accepted is not a failure: socket_accept skips it. */
#ifndef MOONPARK_ACCEPT_H
#define MOONPARK_ACCEPT_H

#include "base/base.h"

/* How long to pause, in ns, before the next accept after `error`. last: the previous pause, or 0 if a client has been
 * accepted since. A shortage of descriptors or memory ends when clients leave: 5 ms, doubled each time, up to 1 s.
 * Returns 0 for any other error: it is permanent, so stop accepting. */
int64_t accept_pause(int error, int64_t last);

#endif
