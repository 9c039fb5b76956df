/* SPDX-License-Identifier: MIT */
/* conn_packet.h - the operations of a packet socket; see conn.h.
 *
 * Received datagrams stay in the loop's `datagrams` until they are pushed, which happens at once. */
#ifndef MOONPARK_CONN_PACKET_H
#define MOONPARK_CONN_PACKET_H

#include "net/conn.h"

/* The parameters of a receive. op.length: the bytes of one datagram, or the number of datagrams; op.total: the full
 * length of one. */
struct conn_receiving {
    size_t limit; /* the most bytes of each datagram */
    size_t count; /* the most datagrams */
    bool with_sender; /* the face's */
};

/* The parameters of a send. op.length: the bytes of the datagram. */
struct conn_sending {
    struct conn_pause pause;
    const char *bytes, *address; /* address: text, or NULL: the connected peer */
    size_t address_length;
};

/* The parameters of a send of many. op.length: how many; op.total: how many were sent. */
struct conn_sending_many {
    struct conn_pause pause;
    /* Returns datagram number `index` (1 ...) and its length n, and its address (or NULL) and that one's length. */
    const char *(*datagram)(struct task *t, size_t index, size_t *n, const char **address, size_t *length);
};

extern const struct conn_op conn_recv_from, conn_recv_many, conn_send_to, conn_send_many;

#endif
