/* SPDX-License-Identifier: MIT */
/* http_server.h - connections of an HTTP/1 server between requests: accepting, reading heads, timeouts, leaving.
 *
 * Floor 8; calls conn, http, netpoll. No Lua: what a request needs is done by workers, which are tasks that ask for one
 * (http_server_take), and by a keeper, a task that starts workers when there are too few and logs.
 *
 *   state     waits for                       leaves by
 *   IDLE      the first byte of a request     a byte: HEADING; idle time: closed
 *   HEADING   the end of its head             a worker: ACTIVE; none: WAITING; malformed, late, too long: LEAVING
 *   WAITING   a worker                        http_server_take: ACTIVE
 *   ACTIVE    its worker                      http_server_take: IDLE, HEADING, ACTIVE again, LEAVING
 *   LEAVING   the client's end                the end, or a moment: closed */
#ifndef MOONPARK_HTTP_SERVER_H
#define MOONPARK_HTTP_SERVER_H

#include "http_conn.h"

struct http_limits {
    uint32_t head;        /* bytes of a request's head */
    uint32_t connections; /* at once */
    uint32_t requests;    /* on one connection; 0: any */
    uint32_t workers;     /* idle ones that are kept */
    uint64_t body;        /* bytes */
    int64_t idle;         /* ns between requests */
    int64_t heading;      /* ns from a head's first byte to its last */
    int64_t moving;       /* ns for each read and write of a body */
    int64_t request;      /* ns from a complete head to the end of the answer; 0: any */
};

/* What the Lua face hands down: how results are pushed. */
struct http_face {
    struct conn_face conn;
    int (*taken)(struct lua_State *L, struct task *t); /* wait.object: the exchange */
    int (*news)(struct lua_State *L, struct task *t);  /* wait.object: the server */
};

struct http_server {
    struct loop *loop;
    const struct http_face *face;
    struct conn listener;
    struct http_limits limits;
    struct list waiting;           /* WAITING ones, by link */
    struct list idle;              /* IDLE, HEADING and LEAVING ones */
    struct list busy;              /* ACTIVE ones */
    struct list workers;           /* idle workers, by exchange.waiter */
    struct task *keeper;           /* parked in http_server_keep, or NULL */
    struct timer pause;            /* accepting goes on when it fires */
    int64_t pause_length;          /* ns */
    int64_t date_due;              /* ns: when the date must be written anew */
    uint32_t count;                /* connections */
    uint32_t idle_workers;
    uint64_t served;               /* requests */
    uint64_t closed;               /* connections that have come and gone */
    uint64_t refused;              /* heads that were answered without a worker */
    int accept_error;              /* for the keeper to log; 0: none */
    bool closing;                  /* no new connections, and none is kept alive */
    char date[32];
};

/* Takes the listener's stream over and begins to accept. 0 or a negative code with the listener as it was. */
int http_server_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *limits);

/* No new connections and no further requests; idle connections close. */
void http_server_drain(struct http_server *s);

/* Closes all connections at once. Their workers are cancelled. */
void http_server_close(struct http_server *s);

/* The same at the end: nobody works for it any more. */
void http_server_fini(struct http_server *s);

/* x, which has no connection, wants a request for its worker t. 0: it has one; SCHED_PARKED; ERR_CLOSED: there will
 * be none; ERR_EOF: there are idle workers enough; ERR_CANCELED. */
int http_server_take(struct http_exchange *x, struct task *t);

/* The response is written: is the next request here already? Then x has it, and its answer follows in the same write. */
bool http_server_next(struct http_exchange *x);

/* What was written leaves as far as the socket takes it. 0; -EAGAIN: a task has to go on with it; or why not. */
int http_server_flush(struct http_exchange *x);

/* x is done with its connection, which goes on without it where the response allows that. */
void http_server_release(struct http_exchange *x);

/* What the keeper t is told. SCHED_PARKED; HTTP_NO_WORKER: start one; HTTP_ACCEPT_FAILED: s->accept_error is to be
 * logged; HTTP_DRAINED: closing, and no connection is left; or why the wait was refused. */
enum { HTTP_NO_WORKER = 2, HTTP_ACCEPT_FAILED, HTTP_DRAINED };
int http_server_keep(struct http_server *s, struct task *t);

/* The connection x is on is no longer the server's: its stream and what was received go to the closed conn `to`. */
void http_server_hijack(struct http_exchange *x, struct conn *to);

/* x will not be used again. */
void http_server_drop(struct http_exchange *x);

/* "Mon, 01 Jan 2024 00:00:00 GMT", 29 bytes. */
const char *http_server_date(struct http_server *s);

#endif
