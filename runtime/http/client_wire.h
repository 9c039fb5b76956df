/* SPDX-License-Identifier: MIT */
/* client_wire.h - the interface between the client's side of an exchange and its protocol: one constant table each.
 *
 * Called by http_client and forward_request, which do not depend on the protocol; HTTP/1 is h1_client.c. A head is
 * written into a buffer of the caller before any of it is sent. */
#ifndef MOONPARK_CLIENT_WIRE_H
#define MOONPARK_CLIENT_WIRE_H

#include "http/http_client.h"

struct client_wire {
    /* Write the head of a request: its start line, each field, then the framing fields and the end. 0 or -ENOMEM. */
    int (*begin)(struct buf *out, const struct http_start *start);
    int (*field)(struct buf *out, const char *name, size_t name_length, const char *value, size_t n);
    int (*end)(struct buf *out, const struct http_ending *ending);

    /* n > 0 bytes of the body are about to be sent: writes what goes before them into `before`, and sets *after to what
     * goes after them. 0; HTTP_TOO_LONG; -ENOMEM. */
    int (*data)(struct http_sent *s, struct buf *before, size_t n, struct http_text *after);

    /* Writes the end of the body. 0; HTTP_TOO_SHORT; -ENOMEM. */
    int (*finish)(struct http_sent *s, struct buf *out);

    /* Read the response: its head, some of its body, all of a body of known length. */
    const struct conn_op *head, *some, *whole;

    /* After the response was read to its end: may another request follow on the connection? */
    bool (*goes_on)(const struct http_reader *r, const struct conn *c);
};

extern const struct client_wire h1_client;

#endif
