/* SPDX-License-Identifier: MIT */
/* http_workers.h - tasks that take requests, each with an exchange of its own.
 *
 * Called by the Lua faces. A worker handles one request after another, from any connection. */
#ifndef MOONPARK_HTTP_WORKERS_H
#define MOONPARK_HTTP_WORKERS_H

#include "http/exchange.h"

/* Makes x (zeroed) an exchange of the running task t. Opens a scope, which ends with the task. 0 or -ENOMEM. */
int http_workers_join(struct http_server *s, struct http_exchange *x, struct task *t);

/* Frees what x holds; it must not be used again. */
void http_workers_drop(struct http_exchange *x);

/* Takes the next request for the worker t. x has no connection. Returns 0: x has a request; SCHED_PARKED; ERR_CLOSED:
 * the server is closing; ERR_EOF: there are enough idle workers; ERR_CANCELED. */
int http_workers_take(struct http_exchange *x, struct task *t);

/* Call after the handler of x's request has returned. Returns what is left to do before x may take another request.
 * settled: an unfinished response never will be finished. */
enum http_left {
    HTTP_LEFT_NOTHING, /* x has no connection; or x has the next request, which had arrived already: both responses
                          leave in one write */
    HTTP_LEFT_ANSWER,  /* finish the response; not returned if settled */
    HTTP_LEFT_BODY,    /* read and discard some of the body; the scope's deadline limits that */
    HTTP_LEFT_FLUSH,   /* send the response */
};
enum http_left http_workers_end(struct http_exchange *x, bool settled);

/* Call before x's worker ends: fails an unfinished response, and gives up the connection if there is one. */
void http_workers_quit(struct http_exchange *x);

#endif
