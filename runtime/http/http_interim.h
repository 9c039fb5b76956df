/* SPDX-License-Identifier: MIT */
/* http_interim.h - interim responses (1xx, RFC 9110 15.2): 100 Continue, and those that a proxy forwards.
 *
 * Called by exchange and forward_response. */
#ifndef MOONPARK_HTTP_INTERIM_H
#define MOONPARK_HTTP_INTERIM_H

#include "http/exchange.h"

/* Begins one, for a client that understands them. Fields may follow (wire->field), then http_interim_end with the
 * result so far: if that is negative, the incomplete head is removed from `out`. 0 or -ENOMEM. */
int http_interim_begin(struct http_exchange *x, int status);
int http_interim_end(struct http_exchange *x, int r);

/* Call before reading the body: sends 100 Continue, after earlier responses, to a client that waits for it (Expect:
 * 100-continue), unless the response has begun already. 0 or -ENOMEM. */
int http_interim_continue(struct http_exchange *x);

#endif
