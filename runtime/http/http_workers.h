/* SPDX-License-Identifier: MIT */
/* http_workers.h - tasks that take requests, each with an exchange of its own.
 *
 * Called by the Lua faces: what a request needs is done by workers, which ask for one after another. Which connection
 * a request comes from is all the same. */
#ifndef MOONPARK_HTTP_WORKERS_H
#define MOONPARK_HTTP_WORKERS_H

#include "http/exchange.h"

/* Makes x (zeroed) an exchange of the running task t: it opens a scope, which ends with the task. 0 or -ENOMEM. */
int http_workers_join(struct http_server *s, struct http_exchange *x, struct task *t);

/* x will not be used again. */
void http_workers_drop(struct http_exchange *x);

/* x, which has no connection, wants a request for its worker t. 0: it has one; SCHED_PARKED; ERR_CLOSED: there will
 * be none; ERR_EOF: there are idle workers enough; ERR_CANCELED. */
int http_workers_take(struct http_exchange *x, struct task *t);

/* The handler of x's request has returned: what is left to do before x may have another one. */
enum http_left {
    HTTP_LEFT_NOTHING, /* x has no connection any more; or the next request, which is here already: its answer follows
                          in the same write */
    HTTP_LEFT_ANSWER,  /* the response has not begun, or not ended; settled: it never will */
    HTTP_LEFT_BODY,    /* some of the body must be read and dropped; a moment is given for that */
    HTTP_LEFT_FLUSH,   /* the response is to be sent */
};
enum http_left http_workers_end(struct http_exchange *x, bool settled);

/* Its worker ends, and the connection with it where it still has one. */
void http_workers_quit(struct http_exchange *x);

#endif
