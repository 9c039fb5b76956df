/* SPDX-License-Identifier: MIT */
/* conn_packet.h - the steps of a packet socket; see conn.h for what a step is and where its result goes.
 *
 * Floor 6; called by conn's frame, which holds the side for them. What is received lies in the loop's
 * datagrams until it is pushed, which is at once. */
#ifndef MOONPARK_CONN_PACKET_H
#define MOONPARK_CONN_PACKET_H

#include "conn.h"

int conn_recv_from(struct conn *c, struct task *t); /* CONN_RECV_FROM */
int conn_recv_many(struct conn *c, struct task *t); /* CONN_RECV_MANY */
int conn_send_to(struct conn *c, struct task *t);   /* CONN_SEND_TO */
int conn_send_many(struct conn *c, struct task *t); /* CONN_SEND_MANY */

#endif
