/* SPDX-License-Identifier: MIT */
/* adopt.h - a descriptor that somebody else has opened becomes a stream of ours, if it is fit for one.
 *
 * Called by the Lua face. Where it fails the descriptor is left as it was, open, and the caller's. */
#ifndef MOONPARK_ADOPT_H
#define MOONPARK_ADOPT_H

#include "net/conn.h"

struct adopted {
    struct stream stream; /* for conn_open */
    enum conn_kind kind;
};

/* Looks only. 0; -EBADF; ERR_IN_USE: it belongs to a connection, a pollDesc or the poller; ERR_NOT_POLLABLE: a file
 * or a folder; ERR_WRONG_KIND: a socket that is neither for streams nor for datagrams, or of no family of ours;
 * -ENOTCONN. */
int adopt_look(struct loop *l, int fd, struct adopted *a);

/* The same, and takes it: non-blocking, close-on-exec, with the defaults of our TCP sockets. What is no socket is
 * watched from now on, because only that shows whether it can be: ERR_NOT_POLLABLE. */
int adopt_take(struct loop *l, int fd, struct adopted *a);

#endif
