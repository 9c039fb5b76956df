/* SPDX-License-Identifier: MIT */
/* conn_packet.h - the operations of a packet socket; see conn.h.
 *
 * Conn's frame holds the side for them. What is received lies in the loop's
 * datagrams until it is pushed, which is at once. */
#ifndef MOONPARK_CONN_PACKET_H
#define MOONPARK_CONN_PACKET_H

#include "net/conn.h"

/* Of a receive. op.length: bytes of one datagram, or how many datagrams; op.total: the whole length of one. */
struct conn_receiving {
    size_t limit; /* bytes of each, at most */
    size_t count; /* datagrams, at most */
    bool with_sender; /* the face's */
};

/* Of a send. op.length: bytes of one. */
struct conn_sending {
    struct conn_pause pause;
    const char *bytes, *address; /* the address's text, or NULL: as connected */
    size_t address_length;
};

/* Of a send of many. op.length: how many; op.total: how many were sent. */
struct conn_sending_many {
    struct conn_pause pause;
    /* The one at place `index` (1 ...), and where it goes: its length, or NULL. */
    const char *(*datagram)(struct task *t, size_t index, size_t *n, const char **address, size_t *length);
};

extern const struct conn_op conn_recv_from, conn_recv_many, conn_send_to, conn_send_many;

#endif
