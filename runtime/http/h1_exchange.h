/* SPDX-License-Identifier: MIT */
/* h1_exchange.h - an exchange over HTTP/1: the wire of exchange.h, and how it takes a request.
 *
 * Called by http_heads.
 * A client has left when the end of its stream is the next thing to come: its body is read, and no further request is
 * there. It may have closed only its own half, but whether it still reads the other one cannot be seen; Go decides the
 * same way. A client that reset the connection has left, whatever comes first. */
#ifndef MOONPARK_H1_EXCHANGE_H
#define MOONPARK_H1_EXCHANGE_H

#include "http/exchange.h"

extern const struct exchange_wire h1_exchange_wire;

/* Gives x the request whose head is in x->head, and its `length` bytes at `bytes`. Returns 0 or -ENOMEM. */
int h1_exchange_open(struct http_exchange *x, struct http_conn *hc, const char *bytes, size_t length);

/* The poller reports events of x's connection. */
void h1_exchange_hear(struct http_exchange *x, uint32_t events);

#endif
