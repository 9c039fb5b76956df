/* SPDX-License-Identifier: MIT */
/* ws_receive.h - the operations that read a WebSocket: a message, a piece of one, what is left until the peer closes.
 *
 * Called by the Lua face and ws_idle. Control frames are handled inside: pings are answered, close frames end the
 * operation. What was received stays with the socket until it is handed out: a wait that is given up loses nothing. */
#ifndef MOONPARK_WS_RECEIVE_H
#define MOONPARK_WS_RECEIVE_H

#include "ws/ws_socket.h"

/* The parameters of a receive. */
struct ws_receiving {
    bool leaving; /* the end's time runs */
};

/* ws_receive: a whole message. ws_receive_some: what has come of one; perhaps nothing, at its end. ws_receive_end drops
 * messages until the peer's close frame. Results: op.length bytes at ws_receive_bytes. */
extern const struct conn_op ws_receive, ws_receive_some, ws_receive_end;

const char *ws_receive_bytes(const struct ws_socket *w);

/* Were they the last of their message? */
static inline bool ws_receive_is_last(const struct ws_socket *w) { return w->stage == WS_AT_END; }

/* They were handed out, and can go. */
void ws_receive_handed(struct ws_socket *w);

/* While no task receives: takes the control frames up to the next message, which stays where it is. Returns 0: more may
 * have come; -EAGAIN: not now; 1: a message is next; or `ending`, or why it was cut. */
int ws_receive_controls(struct ws_socket *w);

/* Goes on with the end, after `ending` was set. Returns 0: w is closed; CONN_GO_ON: more may have come; -EAGAIN: not
 * now, for the side that stream.again says. */
int ws_receive_leave(struct ws_socket *w);

/* The operation of t has failed: notes what that means for the socket, and returns why every call fails from now on;
 * or, if that wait alone was ended, why. */
int ws_receive_failed(struct task *t);

#endif
