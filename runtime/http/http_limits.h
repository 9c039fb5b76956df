/* SPDX-License-Identifier: MIT */
/* http_limits.h - the limits of an HTTP server: sizes, counts, times; and the requests that exceed them at once.
 *
 * Called by exchange, h1_exchange and http_heads. The defaults are in lua/moonpark/http/server.lua. */
#ifndef MOONPARK_HTTP_LIMITS_H
#define MOONPARK_HTTP_LIMITS_H

#include "http/h1_parse.h"

struct http_limits {
    uint32_t head;        /* bytes of a request's head */
    uint32_t connections; /* at once */
    uint32_t requests;    /* on one connection; 0: no limit */
    uint32_t workers;     /* idle ones to keep */
    uint64_t body;        /* bytes */
    int64_t opening;      /* ns for a stream's handshake */
    int64_t idle;         /* ns between requests */
    int64_t heading;      /* ns from a head's first byte to its last */
    int64_t moving;       /* ns without progress in reading or writing a body */
    int64_t request;      /* ns from a complete head to the handler's end; 0: no limit */
    bool connect;         /* pass CONNECT requests to the handler */
};

/* The status that refuses a request with that head without a worker: 413 if its body is announced as too large; 405 for
 * CONNECT if it is not enabled; 400 for CONNECT with a body, which some would take for the tunnel. 0: a worker must
 * handle it. */
int http_limits_refusal(const struct http_limits *most, const struct http_head *h);

/* Keep-alive: may another request follow the n that a connection has sent? */
bool http_limits_another(const struct http_limits *most, uint32_t n);

#endif
