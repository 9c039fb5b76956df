/* SPDX-License-Identifier: MIT */
/* conn_fds.h - descriptors over a unix stream; see conn.h for what an operation is.
 *
 * The Lua face makes the conn_fds before the operation begins and keeps it
 * alive meanwhile. Descriptors are never without an owner: what has arrived is in there at once, and whoever
 * drops it closes what nobody has taken. */
#ifndef MOONPARK_CONN_FDS_H
#define MOONPARK_CONN_FDS_H

#include "base/sys.h"
#include "net/conn_read.h"

struct conn_fds {
    const void *mark; /* the face's */
    int count;
    bool owned; /* they are closed with it; else the sender's, for as long as nobody has waited */
    int fd[SYS_FDS_MAX];
};

/* Copies what is to be sent, so that the sender may close it: before any wait. 0 or -errno, with nothing copied. */
int conn_fds_keep(struct conn_fds *f);

/* Forgets them all, and closes those it owns. */
void conn_fds_drop(struct conn_fds *f);

/* Of both. Sending: op.length bytes, op.total were written. Receiving: as a read, and into an empty conn_fds. */
struct conn_passing {
    struct conn_reading reading;
    struct conn_fds *fds;
    const char *bytes; /* that go with them */
};

extern const struct conn_op conn_send_fds, conn_recv_fds;

#endif
