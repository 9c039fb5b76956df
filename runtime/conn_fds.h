/* SPDX-License-Identifier: MIT */
/* conn_fds.h - the steps that pass descriptors over a unix stream; see conn.h for what a step is.
 *
 * Floor 6; called by conn's frame; the Lua face makes the conn_fds before the operation begins and keeps it
 * alive meanwhile. Descriptors are never without an owner: what has arrived is in there at once, and whoever
 * drops it closes what nobody has taken. */
#ifndef MOONPARK_CONN_FDS_H
#define MOONPARK_CONN_FDS_H

#include "conn.h"
#include "sys.h"

struct lua_State;

struct conn_fds {
    const void *mark; /* the face's */
    int (*push)(struct lua_State *L, struct task *t); /* the results of CONN_RECV_FDS */
    int count;
    bool owned; /* they are closed with it; else the sender's, for as long as nobody has waited */
    int fd[SYS_FDS_MAX];
};

/* Copies what is to be sent, so that the sender may close it: before any wait. 0 or -errno, with nothing copied. */
int conn_fds_keep(struct conn_fds *f);

/* Forgets them all, and closes those it owns. */
void conn_fds_drop(struct conn_fds *f);

int conn_send_fds(struct conn *c, struct task *t); /* CONN_SEND_FDS */
int conn_recv_fds(struct conn *c, struct task *t); /* CONN_RECV_FDS */

#endif
