/* SPDX-License-Identifier: MIT */
/* adopt.h - makes a stream from a descriptor that other code opened, if it is suitable.
 *
 * On failure the descriptor is left as it was, open, and still belongs to the caller. */
#ifndef MOONPARK_ADOPT_H
#define MOONPARK_ADOPT_H

#include "net/conn.h"

struct adopted {
    struct stream stream; /* for conn_open */
    enum conn_kind kind;
};

/* Only checks. Returns 0; -EBADF; ERR_IN_USE: it belongs to a connection, a pollDesc or the poller; ERR_NOT_POLLABLE:
 * a file or a folder; ERR_WRONG_KIND: a socket that is neither for streams nor for datagrams, or of an unsupported
 * family; -ENOTCONN. */
int adopt_look(struct loop *l, int fd, struct adopted *a);

/* The same, and adopts it: non-blocking, close-on-exec, with the defaults of our TCP sockets. Descriptors other than
 * sockets are watched from now on, because only that shows whether they can be: ERR_NOT_POLLABLE. */
int adopt_take(struct loop *l, int fd, struct adopted *a);

#endif
