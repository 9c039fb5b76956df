/* SPDX-License-Identifier: MIT */
/* http_server.h - the life of an HTTP server: opening, accepting, its keeper, draining, closing.
 *
 * Called by l_http_server, which owns the struct http_server (http_conn.h). No Lua: workers serve the requests
 * (http_workers.h), and the keeper is a task that starts workers when there are too few, logs failures of accept, and
 * learns when the server has drained. http_conn_tell_keeper wakes it. */
#ifndef MOONPARK_HTTP_SERVER_H
#define MOONPARK_HTTP_SERVER_H

#include "http/http_conn.h"

/* Takes over the listener's stream and starts to accept. Returns 0; or, with the listener as it was, -EBUSY: a task is
 * waiting on it; or another negative code. */
int http_server_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *limits);

/* Accepts no more connections, and closes idle connections but for those that it has patience with: these may ask once.
 * Once more with less patience: closes those. */
void http_server_drain(struct http_server *s, enum http_patience patience);

/* Drains, and closes all connections at once, except for those of workers: these are cancelled. */
void http_server_close(struct http_server *s);

/* The same, when no worker runs any more: closes the workers' connections too. */
void http_server_fini(struct http_server *s);

/* Waits for news for the keeper t. Until `pause` (absolute ns; 0: none) missing workers are not reported. Returns
 * SCHED_PARKED; HTTP_NO_WORKER: start a worker for each waiting request; HTTP_ACCEPT_FAILED: log s->accept_error;
 * HTTP_DRAINED: closing, and no connection is left; or why the wait was refused. */
enum { HTTP_NO_WORKER = 2, HTTP_ACCEPT_FAILED, HTTP_DRAINED };
int http_server_keep(struct http_server *s, struct task *t, int64_t pause);

#endif
