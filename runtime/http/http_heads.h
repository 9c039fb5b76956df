/* SPDX-License-Identifier: MIT */
/* http_heads.h - reads the heads of HTTP/1 requests, from a connection's first byte to the exchange that takes one.
 *
 * Called by http_workers, whose workers read, and http_server. */
#ifndef MOONPARK_HTTP_HEADS_H
#define MOONPARK_HTTP_HEADS_H

#include "http/exchange.h"

/* Starts to serve the requests of a connection that was just accepted. Returns 0, or -ENOMEM with it closed. */
int http_heads_begin(struct http_server *s, const struct stream *stream);

/* Reads hc, which is IDLE or HEADING and in no list. x takes its request; if x is NULL, the request waits for another
 * worker. May close and free hc. */
void http_heads_serve(struct http_conn *hc, struct http_exchange *x);

/* Reads the connections in `arrived` that no worker has read. */
void http_heads_look(struct late *late);

#endif
