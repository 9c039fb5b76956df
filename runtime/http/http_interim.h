/* SPDX-License-Identifier: MIT */
/* http_interim.h - interim responses (1xx, RFC 9110 15.2): 100 Continue, and those that a proxy passes on.
 *
 * Called by exchange and forward_response. */
#ifndef MOONPARK_HTTP_INTERIM_H
#define MOONPARK_HTTP_INTERIM_H

#include "http/exchange.h"

/* Begins one, for a client that knows these. Fields may follow, by wire->field, and http_interim_end, which is given
 * what has failed so far: only a whole head stays in `out`. 0 or -ENOMEM. */
int http_interim_begin(struct http_exchange *x, int status);
int http_interim_end(struct http_exchange *x, int r);

/* The body is about to be read: a client that asked whether it may send it (Expect: 100-continue) is told to go on,
 * after the answers to earlier requests. Once the response has begun, it is too late for that. 0 or -ENOMEM. */
int http_interim_continue(struct http_exchange *x);

#endif
