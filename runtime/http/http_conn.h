/* SPDX-License-Identifier: MIT */
/* http_conn.h - an HTTP server, and the life of each of its connections: state, timer, last response, end.
 *
 * Called by exchange, h1_exchange, http_heads, http_workers, http_server and the Lua faces.
 * Between requests a connection is its struct and nothing else: no coroutine, no userdata, no buffer. When the head of
 * a request is complete, a worker's exchange takes it. A connection that is closed while a task is in an operation on
 * it (a task that a handler left behind) is kept, closed, until that task has learned of it.
 *
 *   state     waits for                       leaves by
 *   OPENING   its stream's handshake          done: IDLE; failed: LEAVING, closed; late: closed
 *   IDLE      the first byte of a request     a byte: HEADING; idle time: closed
 *   HEADING   the end of its head             a worker: ACTIVE; none: WAITING; malformed, late, too long: LEAVING
 *   WAITING   a worker                        http_workers_take: ACTIVE
 *   ACTIVE    its worker                      the wire's release: IDLE, HEADING, ACTIVE again, LEAVING, closed
 *   LEAVING   its last response, the client's end    the end, or LEAVE_TIME: closed */
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
    HTTP_WAITING, /* a request has come, but has no worker yet */
    HTTP_ACTIVE,  /* a worker has it */
    HTTP_LEAVING, /* had its last response: what still comes is discarded until the client closes */
};

struct http_conn {
    struct conn c;
    struct http_server *server;
    struct http_exchange *exchange; /* HTTP_ACTIVE only */
    struct list link;               /* in the server's list for that state */
    struct late late;               /* frees it once no task is in an operation on it */
    struct timer timer;             /* set to `due` or earlier: looks at `due` again when it fires */
    char *client;                   /* its client's address, once that was asked for; or NULL */
    int64_t due;                    /* when the state has lasted too long; 0: never */
    uint32_t requests;
    uint32_t searched;              /* bytes of `in` that are known to hold no end of a head */
    uint8_t state;                  /* enum http_state */
    bool said;                      /* LEAVING: its last response, which was in `in`, has been sent */
    bool lingers;                   /* LEAVING: its handshake has failed */
    bool arrived;                   /* IDLE or HEADING, and something may have come that has not been read yet */
};

static inline struct http_conn *http_conn_of(struct conn *c) { return container_of(c, struct http_conn, c); }

/* What the Lua face hands down: how results are pushed. */
struct http_face {
    int (*taken)(struct lua_State *L, struct task *t); /* wait.object: the exchange */
    int (*news)(struct lua_State *L, struct task *t);  /* wait.object: the server */
};

/* Which idle connections of a server that closes may still ask: those that have never asked, all of them. */
enum http_patience { HTTP_WITH_NONE, HTTP_WITH_NEW, HTTP_WITH_ALL };

struct http_server {
    struct loop *loop;
    const struct http_face *face;
    struct conn listener;
    struct http_limits limits;
    struct list waiting;           /* WAITING connections, by link */
    struct list idle;              /* OPENING, IDLE, HEADING and LEAVING ones */
    struct list arrived;           /* IDLE and HEADING ones with `arrived` set */
    struct list busy;              /* ACTIVE ones */
    struct list workers;           /* idle workers, by exchange.waiter */
    struct task *keeper;           /* parked in http_server_keep, or NULL */
    struct late again;             /* continues to accept */
    struct late later;             /* reads what has arrived, if no worker has done so */
    struct timer pause;            /* continues to accept when it fires */
    int64_t pause_length;          /* ns */
    uint32_t count;                /* connections */
    uint32_t idle_workers;
    uint64_t served;               /* requests */
    uint64_t refused;              /* heads that were answered without a worker */
    int accept_error;              /* for the keeper; 0: none */
    bool accept_over;              /* for good: the keeper shuts the server down */
    bool stirred;                  /* a worker was woken for `arrived`, and has not run yet */
    bool full;                     /* accepting has stopped: there are limits.connections */
    bool closing;                  /* no new connections, and none is kept alive */
    enum http_patience patience;   /* while closing */
    bool closed;                   /* what is left is cut off */
    struct http_date date;
};

/* Reads the clock anew: handlers may have computed since the turn began, and clients must not lose that time. */
static inline int64_t http_conn_now(const struct http_server *s) { return loop_now(s->loop); }

/* Makes a connection, OPENING, around a stream, which belongs to it even on failure. `hears` gets its events. Returns
 * NULL if there is no memory. */
struct http_conn *http_conn_open(struct http_server *s, const struct stream *stream,
                                 bool (*hears)(struct pollDesc *pd, uint32_t events));

void http_conn_move(struct http_conn *hc, struct list *to, enum http_state state);

/* Continues the handshake of hc, which is OPENING. Returns true if it is IDLE now. May close and free it. */
bool http_conn_handshake(struct http_conn *hc);

/* Asks the poller to report when the stream, whose last read or handshake said -EAGAIN, can go on; and: is that among
 * these events? */
static inline void http_conn_arm(struct http_conn *hc) { netpoll_arm(hc->c.stream.pd, hc->c.stream.again); }
static inline bool http_conn_is_meant(const struct http_conn *hc, uint32_t events)
{
    return events & (POLLER_READ | POLLER_HANGUP) || (events & POLLER_WRITE && hc->c.stream.again == POLL_W);
}

/* Nothing is here for hc, which is IDLE or HEADING: it waits for the poller. Ends hc if its time was up meanwhile. */
void http_conn_settle(struct http_conn *hc);

/* The connection that has been IDLE or OPENING longest, or whose handshake has failed, nearly; NULL if none seems to
 * be. It can make room for a new one. */
struct http_conn *http_conn_oldest_idle(struct http_server *s);

/* The state may last `length` ns; 0: for ever. */
void http_conn_due(struct http_conn *hc, int64_t length);

/* Some of a head is here: hc becomes HEADING, and the head's time runs from its first byte on, whatever follows. */
void http_conn_begin_head(struct http_conn *hc);

/* Is a task in an operation on it? */
bool http_conn_in_use(const struct http_conn *hc);

/* May the kernel have bytes, or the stream's end, that were not read yet? */
static inline bool http_conn_has_news(const struct http_conn *hc)
{
    return !hc->c.drained || hc->c.stream.pd->hangup || netpoll_is_ready(hc->c.stream.pd, POLL_R);
}

/* May hc, which is IDLE, send a request, in view of its server's end? */
static inline bool http_conn_may_ask(const struct http_conn *hc)
{
    const struct http_server *s = hc->server;
    return !s->closing || s->patience == HTTP_WITH_ALL || (s->patience == HTTP_WITH_NEW && hc->requests == 0);
}

/* hc, which is IDLE or HEADING, must be read. */
static inline void http_conn_join_arrived(struct http_conn *hc)
{
    hc->arrived = true;
    http_conn_move(hc, &hc->server->arrived, hc->state);
}

/* Takes the first of those out of the list. */
static inline struct http_conn *http_conn_next_arrived(struct http_server *s)
{
    struct http_conn *hc = container_of(list_pop(&s->arrived), struct http_conn, link);
    hc->arrived = false;
    return hc;
}

/* Makes sure that the connections in `arrived` are read: wakes a worker for that. If none is idle, a running one may
 * come to it; if not, s->later does it before the loop blocks. */
void http_conn_stir(struct http_server *s);

/* hc, whose request was answered, waits for the next. If that is here already, the worker that has let go of hc will
 * find it. */
void http_conn_go_idle(struct http_conn *hc);

/* These end hc for the caller: it may be freed.
 * close: at once. leave: the last response was sent, and the client gets a moment to read it. answer: sends a last
 * response to a request that needs no worker: it was refused, or came too late; `bytes` are the n bytes of it. */
void http_conn_close(struct http_conn *hc);
void http_conn_leave(struct http_conn *hc);
void http_conn_answer(struct http_conn *hc, int status, const char *bytes, size_t n);

/* Something has come for hc, which is LEAVING: continues to send its last response, then discards what the client still
 * sends. May end hc. */
void http_conn_discard(struct http_conn *hc);

/* Describes the server in reports, for a task that waits for it. */
void http_conn_describe(const struct http_server *s, char *text, size_t n);

/* Wakes the keeper, if it is parked. */
void http_conn_tell_keeper(struct http_server *s);

/* The client's address, "127.0.0.1:5000", which is kept: it can be asked for after the connection has broken. Returns
 * its length, or -errno. */
int http_conn_client(struct http_conn *hc, char text[static ADDR_TEXT_MAX]);

/* The value of the Date field. */
static inline const char *http_conn_date(struct http_server *s)
{
    return http_date_text(&s->date, &s->loop->clock, s->loop->sched.now);
}

/* Of a server's listener and its connections: checks what holds between two calls for the whole server. */
extern const struct conn_owner http_conn_owner;

#endif
