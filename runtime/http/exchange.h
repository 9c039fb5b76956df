/* SPDX-License-Identifier: MIT */
/* exchange.h - one request and its response.
 *
 * Called by http_conn, http_server and the Lua faces.
 * An exchange is a worker's: it takes a request up when its head is complete. What is slow about a request is in here. */
#ifndef MOONPARK_EXCHANGE_H
#define MOONPARK_EXCHANGE_H

#include "http/h1_frame.h"
#include "http/http_conn.h"

/* One request and its response; a worker's, used again for the next one. */
struct http_exchange {
    struct http_conn *conn; /* NULL between requests */
    struct http_server *server;
    struct scope *scope;    /* the worker's: cancelled when the client goes away; NULL once the worker has ended */
    struct late late;       /* sends what lies in `out` while the worker waits for something else */
    struct waiter waiter;   /* among the server's idle workers */
    uint64_t serial;        /* of the request: a handle with another one is stale */
    struct buf bytes;       /* the head's */
    struct buf trailer;     /* its trailer section's, where there is one */
    struct http_head head;  /* spans of bytes */
    struct http_peer peer;
    struct http_body body;
    struct http_out framing;
    struct buf out;         /* written, but not sent yet */
    size_t inside;          /* bytes of the body that come last in `out`, but for what frames them */
    uint64_t limit;         /* bytes of the body that are taken */
    bool continued;         /* 100 Continue was sent, or is not wanted */
    bool relayed;           /* or is another server's to send, which was asked in its place */
    bool gone;              /* the client has left */
    bool over;              /* its handler has returned */
    bool late_answer;       /* the request's time was up before it had */
    bool curtailed;         /* and a wait of the handler's was refused for that: its response may lack something */
    bool spoilt;            /* its body is malformed, cut off or too slow, or its trailer section too long */
    bool resting;           /* what is left of its body is being dropped */
    int failure;            /* why the response cannot be completed, and the connection is cut; 0: it can */
};

enum { HTTP_UNREAD_MAX = 262144 };

/* Will the client send what is left of its body, and is that little enough to be read for the sake of the
 * connection? */
bool http_body_is_short(const struct http_exchange *x);

/* The response cannot be completed, for the reason r, which every later call is told too: the first one stays. What
 * lies in `out` may still leave. */
static inline void http_exchange_fail(struct http_exchange *x, int r) { x->failure = x->failure ? x->failure : r; }

/* The same of a write that has ended in the middle: what lies in `out` is dropped, for it would stand behind a gap, and
 * so are `unsent` bytes of the body that were to follow it. Neither counts as sent. */
void http_exchange_cut(struct http_exchange *x, int r, size_t unsent);

#endif
