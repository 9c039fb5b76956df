/* SPDX-License-Identifier: MIT */
/* client_wire.h - what the client's side of an exchange asks of the protocol on the wire: one constant table for each.
 *
 * Called by http_client and forward_request, which know nothing of a wire; HTTP/1 is h1_client.c. A head is
 * written into a buffer of the caller's before any of it is sent. */
#ifndef MOONPARK_CLIENT_WIRE_H
#define MOONPARK_CLIENT_WIRE_H

#include "http/http_client.h"

struct client_wire {
    /* The head of a request: its beginning, its fields one by one, and what frames and ends it. 0 or -ENOMEM. */
    int (*begin)(struct buf *out, const struct http_start *start);
    int (*field)(struct buf *out, const char *name, size_t name_length, const char *value, size_t n);
    int (*end)(struct buf *out, const struct http_ending *ending);

    /* n bytes of its body, not 0, are about to be sent: what stands in front of them is written into `before`, what
     * stands behind them is put into *after. 0; HTTP_TOO_LONG; -ENOMEM. */
    int (*data)(struct http_sent *s, struct buf *before, size_t n, struct http_text *after);

    /* Its body is over: writes the end of it. 0; HTTP_TOO_SHORT; -ENOMEM. */
    int (*finish)(struct http_sent *s, struct buf *out);

    /* Reading the response: its head, some of its body, and all of a body of known length. */
    const struct conn_op *head, *some, *whole;

    /* The response was read to its end: may another request follow on its connection? */
    bool (*goes_on)(const struct http_reader *r, const struct conn *c);
};

extern const struct client_wire h1_client;

#endif
