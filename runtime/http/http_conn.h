/* SPDX-License-Identifier: MIT */
/* http_conn.h - an HTTP server, and what becomes of each of its connections: state, timer, last words, end.
 *
 * Called by http_server, http_listen and the Lua faces. A connection that is closed while a task is in
 * an operation on it (one that a handler left behind) is kept, closed, until that task has heard of it.
 *
 *   state     waits for                       leaves by
 *   OPENING   its stream's handshake          that is over: IDLE; it fails, or is late: closed
 *   IDLE      the first byte of a request     a byte: HEADING; idle time: closed
 *   HEADING   the end of its head             a worker: ACTIVE; none: WAITING; malformed, late, too long: LEAVING
 *   WAITING   a worker                        http_server_take: ACTIVE
 *   ACTIVE    its worker                      http_server_release: IDLE, HEADING, ACTIVE again, LEAVING, closed
 *   LEAVING   our last words, the client's end    the end, or a moment: closed */
#ifndef MOONPARK_HTTP_CONN_H
#define MOONPARK_HTTP_CONN_H

#include "http/http_body.h"

struct http_limits {
    uint32_t head;        /* bytes of a request's head */
    uint32_t connections; /* at once */
    uint32_t requests;    /* on one connection; 0: any */
    uint32_t workers;     /* idle ones that are kept */
    uint64_t body;        /* bytes */
    int64_t opening;      /* ns for a stream's handshake */
    int64_t idle;         /* ns between requests */
    int64_t heading;      /* ns from a head's first byte to its last */
    int64_t moving;       /* ns in which nothing of a body moves, read or written */
    int64_t request;      /* ns from a complete head to the handler's end; 0: any */
    bool connect;         /* the handler is asked for CONNECT */
};

/* What the Lua face hands down: how results are pushed. */
struct http_face {
    int (*taken)(struct lua_State *L, struct task *t); /* wait.object: the exchange */
    int (*news)(struct lua_State *L, struct task *t);  /* wait.object: the server */
};

struct http_server {
    struct loop *loop;
    const struct http_face *face;
    struct conn listener;
    struct http_limits limits;
    struct list waiting;           /* WAITING ones, by link */
    struct list idle;              /* OPENING, IDLE, HEADING and LEAVING ones */
    struct list arrived;           /* IDLE and HEADING ones whose bytes nobody has looked at yet */
    struct list busy;              /* ACTIVE ones */
    struct list workers;           /* idle workers, by exchange.waiter */
    struct task *keeper;           /* parked in http_keeper_wait, or NULL */
    struct late again;             /* accepting goes on */
    struct late later;             /* what has arrived is looked at, should no worker have done so */
    struct timer pause;            /* the same when it fires */
    int64_t pause_length;          /* ns */
    int64_t date_due;              /* ns: when the date must be written anew */
    uint32_t count;                /* connections */
    uint32_t idle_workers;
    uint64_t served;               /* requests */
    uint64_t refused;              /* heads that were answered without a worker */
    int accept_error;              /* for the keeper to log; 0: none */
    bool stirred;                  /* a worker was woken for those that have arrived, and did not run yet */
    bool full;                     /* accepting has stopped: there are limits.connections */
    bool closing;                  /* no new connections, and none is kept alive */
    bool closed;                   /* what is left is cut off */
    char date[32];
};

/* Read anew: handlers may have computed since the turn began, and no client's time is to pass meanwhile. */
static inline int64_t http_conn_now(const struct http_server *s) { return loop_now(s->loop); }

/* A connection around a stream, which it owns whatever comes of it: OPENING, or NULL: no memory. `hears` is told its
 * events. */
struct http_conn *http_conn_open(struct http_server *s, const struct stream *stream,
                                 bool (*hears)(struct pollDesc *pd, uint32_t events));

void http_conn_move(struct http_conn *hc, struct list *to, enum http_state state);

/* hc is OPENING: its handshake goes on. True: it is IDLE. May end it. */
bool http_conn_handshake(struct http_conn *hc);

/* The poller is to tell when the stream, whose last read or handshake said -EAGAIN, can go on; and is it one of these
 * events? */
static inline void http_conn_arm(struct http_conn *hc) { netpoll_arm(hc->c.stream.pd, hc->c.stream.again); }
static inline bool http_conn_is_meant(const struct http_conn *hc, uint32_t events)
{
    return events & (POLLER_READ | POLLER_HANGUP) || (events & POLLER_WRITE && hc->c.stream.again == POLL_W);
}

/* Nothing is here for hc, which is IDLE or HEADING: the poller will tell when something is. Ends hc where its time was
 * up meanwhile. */
void http_conn_rest(struct http_conn *hc);

/* The one that has been IDLE longest, nearly; NULL where none seems to be. It is what makes room for a new one. */
struct http_conn *http_conn_oldest_idle(struct http_server *s);

/* The state may last so many ns; 0: for ever. */
void http_conn_due(struct http_conn *hc, int64_t length);

/* Some of a head is here: hc is HEADING, and the head's time runs from its first byte on, whatever follows. */
void http_conn_begin_head(struct http_conn *hc);

/* Is a task in an operation on it? */
bool http_conn_in_use(const struct http_conn *hc);

/* The status that answers a request with that head without a worker; 0: it needs one. CONNECT is for proxies, and what
 * follows its head is a body to some, and the tunnel to others. */
static inline int http_conn_refusal(const struct http_limits *most, const struct http_head *h)
{
    if (h->form == HTTP_AUTHORITY)
        return !most->connect ? 405 : h->chunked || h->content_length > 0 ? 400 : 0;
    return h->content_length > 0 && (uint64_t)h->content_length > most->body ? 413 : 0;
}

/* These end hc for the caller: it may be freed.
 * close: at once. leave: our last words are out, the client is given a moment to read them. answer: those words, for a
 * request that needs no worker: it was not understood, or came too late. n bytes of it are there. */
void http_conn_close(struct http_conn *hc);
void http_conn_leave(struct http_conn *hc);
void http_conn_answer(struct http_conn *hc, int status, const char *bytes, size_t n);

/* A LEAVING one's last words go on; then what it still sends is thrown away. May end it. */
void http_conn_discard(struct http_conn *hc);

/* What waits for the server, in words for a person. */
void http_conn_describe(const struct http_server *s, char *text, size_t n);

/* The keeper looks again. */
void http_conn_tell_keeper(struct http_server *s);

/* "Mon, 01 Jan 2024 00:00:00 GMT", 29 bytes. */
const char *http_conn_date(struct http_server *s);

/* What holds between two calls of ours: for the server that c, its listener or one of its connections, belongs to. */
void http_conn_check(const struct conn *c);

#endif
