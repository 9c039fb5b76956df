/* SPDX-License-Identifier: MIT */
/* http_server.h - an HTTP/1 server: reading heads, handing requests to workers, and what follows a response.
 *
 * Calls conn, http, http_conn, netpoll; called by http_listen, which accepts, and the Lua faces. No
 * Lua: what a request needs is done by workers, which are tasks that ask for one (http_server_take), and by a keeper, a
 * task that starts workers when there are too few, and logs.
 *
 * A client has left when the end of its stream is the next thing to come: its body is read, and no further request is
 * there. That is half of a connection, but nobody can see whether the other half is still read; Go takes it the
 * same way. Who has reset the connection has left whatever comes first. Then the scope of the worker is cancelled; what
 * the handler answers nevertheless is sent. */
#ifndef MOONPARK_HTTP_SERVER_H
#define MOONPARK_HTTP_SERVER_H

#include "http/http_conn.h"

/* Makes x (zeroed) an exchange of the running task t: it opens a scope, which ends with the task. 0 or -ENOMEM. */
int http_server_join(struct http_server *s, struct http_exchange *x, struct task *t);

/* x will not be used again. */
void http_server_drop(struct http_exchange *x);

/* x, which has no connection, wants a request for its worker t. 0: it has one; SCHED_PARKED; ERR_CLOSED: there will
 * be none; ERR_EOF: there are idle workers enough; ERR_CANCELED. */
int http_server_take(struct http_exchange *x, struct task *t);

/* x's handler has returned: its scope is as new. */
void http_server_over(struct http_exchange *x);

/* What is left to do for x's request before the next one. */
enum http_left {
    HTTP_LEFT_NOTHING,
    HTTP_LEFT_ANSWER, /* the response has not begun, or not ended */
    HTTP_LEFT_REST,   /* some of the body must be read and dropped; a moment is given for that */
};
enum http_left http_server_left(struct http_exchange *x);

/* The response is written: is the next request here already? Then x has it, and its answer follows in the same
 * write. */
bool http_server_next(struct http_exchange *x);

/* What was written leaves as far as the socket takes it. 0; -EAGAIN: a task has to go on with it; or why not. */
int http_server_flush(struct http_exchange *x);

/* Has what lies in `out` sent, should the worker wait for something else before it is done. */
static inline void http_server_flush_later(struct http_exchange *x) { loop_late(x->server->loop, &x->late); }

/* Some of the body was handed out. */
void http_server_has_read(struct http_exchange *x);

/* x is done with its connection, which goes on without it where the response allows that. */
void http_server_release(struct http_exchange *x);

/* The connection x is on is no longer the server's: its stream and what was received go to the closed conn `to`. */
void http_server_hijack(struct http_exchange *x, struct conn *to);

/* A connection that was just accepted: its requests are served from now on. 0 or -ENOMEM with it closed. */
int http_server_begin(struct http_server *s, const struct stream *stream);

/* Looks at what has arrived, and has not been looked at by any worker. */
void http_server_look(struct late *late);

/* The server is closing: idle connections end, but for those whose next request is here already. */
void http_server_last_look(struct http_server *s);

/* Cancels what the workers do for clients, as if these had left. */
void http_server_cancel(struct http_server *s);

/* Takes their connections away from the workers and closes them. */
void http_server_cut(struct http_server *s);

#endif
