/* SPDX-License-Identifier: MIT */
/* http_body.h - a connection of an HTTP server, and the exchange that a worker has on it.
 *
 * Called by http_conn, http_server and the Lua faces.
 * Between requests a connection is this struct and nothing else: no coroutine, no userdata, no buffer. When the head
 * of a request is complete, a worker's exchange takes it up; what is slow about a request is in there. */
#ifndef MOONPARK_HTTP_BODY_H
#define MOONPARK_HTTP_BODY_H

#include "http/h1_frame.h"
#include "net/conn.h"

struct http_server;

enum http_state {
    HTTP_OPENING, /* its stream's handshake is not over */
    HTTP_IDLE,    /* nothing of a request has come */
    HTTP_HEADING, /* a part of its head has */
    HTTP_WAITING, /* a request is there, but no worker yet */
    HTTP_ACTIVE,  /* a worker has it */
    HTTP_LEAVING, /* answered for the last time: what still comes is thrown away until the client closes */
};

struct http_conn {
    struct conn c;
    struct http_server *server;
    struct http_exchange *exchange; /* HTTP_ACTIVE only */
    struct list link;               /* among the server's of that state */
    struct late late;               /* gives its memory back, once nobody is in an operation on it any more */
    struct timer timer;             /* stands at `due` or before it: it looks again when it fires */
    int64_t due;                    /* when the state has lasted too long; 0: never */
    uint32_t requests;
    uint32_t searched;              /* of `in`: no end of a head is in there */
    uint8_t state;                  /* enum http_state */
    bool said;                      /* LEAVING: our last words, which lie in `in`, have left */
    bool arrived;                   /* IDLE or HEADING, and something may have come that nobody has looked at yet */
};

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

enum { HTTP_TRAILERS_MAX = 8192, HTTP_UNREAD_MAX = 262144 };

/* Will the client send what is left of its body, and is that little enough to be read for the sake of the
 * connection? */
bool http_body_is_short(const struct http_exchange *x);

/* The response cannot be completed, for the reason r, which every later call is told too: the first one stays. What
 * lies in `out` may still leave. */
static inline void http_exchange_fail(struct http_exchange *x, int r) { x->failure = x->failure ? x->failure : r; }

/* The same of a write that has ended in the middle: what lies in `out` is dropped, for it would stand behind a gap, and
 * so are `unsent` bytes of the body that were to follow it. Neither counts as sent. */
void http_exchange_cut(struct http_exchange *x, int r, size_t unsent);

static inline struct http_conn *http_conn_of(struct conn *c) { return container_of(c, struct http_conn, c); }

/* Of reading a body: op.length bytes of `in`, op.total to consume. */
struct http_reading {
    struct http_exchange *exchange;
    size_t limit; /* bytes, at most */
};

extern const struct conn_op http_body_some;  /* some; ERR_EOF at the end of the body */
extern const struct conn_op http_body_whole; /* a body framed by its length, all of it */

#endif
