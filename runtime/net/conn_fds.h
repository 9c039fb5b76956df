/* SPDX-License-Identifier: MIT */
/* conn_fds.h - sending and receiving descriptors over a unix stream; see conn.h for what an operation is.
 *
 * The Lua face makes the conn_fds before the operation starts and keeps it alive meanwhile. Descriptors always have an
 * owner: received ones go into the conn_fds at once, and conn_fds_drop closes those that were not taken. */
#ifndef MOONPARK_CONN_FDS_H
#define MOONPARK_CONN_FDS_H

#include "base/sys.h"
#include "net/conn_read.h"

struct conn_fds {
    const void *mark; /* the face's */
    int count;
    bool owned; /* closed by conn_fds_drop; otherwise the sender's, until the first wait (conn_fds_keep) */
    int fd[SYS_FDS_MAX];
};

/* Copies the descriptors to send, so that the sender may close its own: call it before any wait. Returns 0, or -errno
 * with nothing copied. */
int conn_fds_keep(struct conn_fds *f);

/* Forgets them all, and closes those it owns. */
void conn_fds_drop(struct conn_fds *f);

/* The parameters of both. Sending: op.length bytes, of which op.total were written. Receiving: like a read, and into an
 * empty conn_fds. */
struct conn_passing {
    struct conn_reading reading;
    struct conn_fds *fds;
    const char *bytes; /* sent along with them */
};

extern const struct conn_op conn_send_fds, conn_recv_fds;

#endif
