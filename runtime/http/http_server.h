/* SPDX-License-Identifier: MIT */
/* http_server.h - an HTTP server from its beginning to its end: its listener, accepting, its keeper, draining, closing.
 *
 * Called by l_http_server, which owns the struct http_server (http_conn.h). No Lua: requests are served by workers
 * (http_workers.h), and the keeper is a task that starts workers where there are too few, logs what accepting has met,
 * and hears of the end. http_conn_tell_keeper wakes it. */
#ifndef MOONPARK_HTTP_SERVER_H
#define MOONPARK_HTTP_SERVER_H

#include "http/http_conn.h"

/* Takes the listener's stream over and begins to accept. 0; -EBUSY: somebody waits for it; or a negative code with the
 * listener as it was. */
int http_server_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *limits);

/* No new connections and no further requests; idle connections close. */
void http_server_drain(struct http_server *s);

/* Closes all connections at once, but for those of workers, which are cancelled. */
void http_server_close(struct http_server *s);

/* The same at the end: nobody works for it any more. */
void http_server_fini(struct http_server *s);

/* What the keeper t is told; until `pause` (ns, 0: none) not that workers are missing. SCHED_PARKED; HTTP_NO_WORKER: as
 * many as wait are to be started; HTTP_ACCEPT_FAILED: s->accept_error is to be logged; HTTP_DRAINED: closing, and no
 * connection is left; or why the wait was refused. */
enum { HTTP_NO_WORKER = 2, HTTP_ACCEPT_FAILED, HTTP_DRAINED };
int http_server_keep(struct http_server *s, struct task *t, int64_t pause);

#endif
