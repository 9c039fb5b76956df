/* SPDX-License-Identifier: MIT */
/* http_listen.h - an HTTP server's beginning and end: its listener, accepting, draining, closing.
 *
 * Called by l_http_server, which owns the struct http_server. */
#ifndef MOONPARK_HTTP_LISTEN_H
#define MOONPARK_HTTP_LISTEN_H

#include "http/http_server.h"

/* Takes the listener's stream over and begins to accept. 0; -EBUSY: somebody waits for it; or a negative code with the
 * listener as it was. */
int http_listen_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *limits);

/* No new connections and no further requests; idle connections close. */
void http_listen_drain(struct http_server *s);

/* Closes all connections at once, but for those of workers, which are cancelled. */
void http_listen_close(struct http_server *s);

/* The same at the end: nobody works for it any more. */
void http_listen_fini(struct http_server *s);

#endif
