/* SPDX-License-Identifier: MIT */
/* ws_idle.h - a WebSocket while no task is at it.
 *
 * Called by the Lua face. Handlers sleep, wait for channels, or send to others. Meanwhile what waits for room leaves,
 * pings are answered, and the peer's close frame and its end are noticed: the poller's events do that, before the loop
 * blocks. A message that comes stays unread, and so does all that is behind it: nothing is taken in that no task asks
 * for, but for one buffer. */
#ifndef MOONPARK_WS_IDLE_H
#define MOONPARK_WS_IDLE_H

#include "ws/ws_socket.h"

/* Looks after w, which has just been opened, from now on. */
void ws_idle_watch(struct ws_socket *w);

#endif
