/* SPDX-License-Identifier: MIT */
/* http_conn.h - an HTTP server, and what becomes of each of its connections: state, timer, last words, end.
 *
 * Called by exchange, h1_exchange, http_heads, http_workers, http_server and the Lua faces.
 * Between requests a connection is its struct and nothing else: no coroutine, no userdata, no buffer. When the head of
 * a request is complete, a worker's exchange takes it up. A connection that is closed while a task is in an operation
 * on it (one that a handler left behind) is kept, closed, until that task has heard of it.
 *
 *   state     waits for                       leaves by
 *   OPENING   its stream's handshake          that is over: IDLE; it fails, or is late: closed
 *   IDLE      the first byte of a request     a byte: HEADING; idle time: closed
 *   HEADING   the end of its head             a worker: ACTIVE; none: WAITING; malformed, late, too long: LEAVING
 *   WAITING   a worker                        http_workers_take: ACTIVE
 *   ACTIVE    its worker                      the wire's release: IDLE, HEADING, ACTIVE again, LEAVING, closed
 *   LEAVING   our last words, the client's end    the end, or a moment: closed */
#ifndef MOONPARK_HTTP_CONN_H
#define MOONPARK_HTTP_CONN_H

#include "http/http_date.h"
#include "http/http_limits.h"
#include "net/conn.h"

struct http_exchange;
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

static inline struct http_conn *http_conn_of(struct conn *c) { return container_of(c, struct http_conn, c); }

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
    struct task *keeper;           /* parked in http_server_keep, or NULL */
    struct late again;             /* accepting goes on */
    struct late later;             /* what has arrived is looked at, should no worker have done so */
    struct timer pause;            /* the same when it fires */
    int64_t pause_length;          /* ns */
    uint32_t count;                /* connections */
    uint32_t idle_workers;
    uint64_t served;               /* requests */
    uint64_t refused;              /* heads that were answered without a worker */
    int accept_error;              /* for the keeper; 0: none */
    bool accept_over;              /* for good: the keeper shuts the server down */
    bool stirred;                  /* a worker was woken for those that have arrived, and did not run yet */
    bool full;                     /* accepting has stopped: there are limits.connections */
    bool closing;                  /* no new connections, and none is kept alive */
    bool closed;                   /* what is left is cut off */
    struct http_date date;
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

/* May the kernel have something that was not read yet? */
static inline bool http_conn_has_news(const struct http_conn *hc)
{
    return !hc->c.drained || hc->c.stream.pd->hangup || netpoll_is_ready(hc->c.stream.pd, POLL_R);
}

/* hc is IDLE or HEADING, and is to be looked at. */
static inline void http_conn_join_arrived(struct http_conn *hc)
{
    hc->arrived = true;
    http_conn_move(hc, &hc->server->arrived, hc->state);
}

/* The first of those, which is in no list then. */
static inline struct http_conn *http_conn_next_arrived(struct http_server *s)
{
    struct http_conn *hc = container_of(list_pop(&s->arrived), struct http_conn, link);
    hc->arrived = false;
    return hc;
}

/* Somebody will look at those that have arrived: a worker that is woken for that. Where none is idle, one of those that
 * run may come by; before the loop blocks, s->later is run. */
void http_conn_stir(struct http_server *s);

/* hc, which has been answered, waits for its next request. Where that is here already, the worker that has let go of hc
 * will find it. */
void http_conn_go_idle(struct http_conn *hc);

/* These end hc for the caller: it may be freed.
 * close: at once. leave: our last words are out, the client is given a moment to read them. answer: those words, for a
 * request that needs no worker: it was not understood, or came too late. n bytes of it are there. */
void http_conn_close(struct http_conn *hc);
void http_conn_leave(struct http_conn *hc);
void http_conn_answer(struct http_conn *hc, int status, const char *bytes, size_t n);

/* Something has come for a LEAVING one: its last words go on; then what it still sends is thrown away. May end it. */
void http_conn_discard(struct http_conn *hc);

/* What waits for the server, in words for a person. */
void http_conn_describe(const struct http_server *s, char *text, size_t n);

/* The keeper looks again. */
void http_conn_tell_keeper(struct http_server *s);

/* The value of the Date field. */
static inline const char *http_conn_date(struct http_server *s)
{
    return http_date_text(&s->date, &s->loop->clock, s->loop->sched.now);
}

/* What holds between two calls of ours: for the server that c, its listener or one of its connections, belongs to. */
void http_conn_check(const struct conn *c);

#endif
