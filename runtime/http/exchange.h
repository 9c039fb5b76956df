/* SPDX-License-Identifier: MIT */
/* exchange.h - one request and its response: what a handler does with them, whatever the wire.
 *
 * Called by h1_exchange, http_heads, http_workers, http_server and the Lua faces.
 * An exchange is a worker's, used again for one request after another. What a handler may do, limits and refusals are
 * decided here; how it is written, and what becomes of the connection, is the wire's: one constant table for each
 * protocol (h1_exchange.c).
 *
 * A verb that may have to wait returns EXCHANGE_WAITS: then t->op is prepared, and the caller starts the operation that
 * the verb names on the exchange's connection, and says when it has ended. */
#ifndef MOONPARK_EXCHANGE_H
#define MOONPARK_EXCHANGE_H

#include "http/http_message.h"
#include "http/http_conn.h"

struct conn_file;

/* Bytes of a body that are about to be written. */
struct exchange_piece {
    bool muted;         /* they are not to be written */
    const char *after;  /* what follows them on the wire, "" for nothing */
};

/* A protocol. What its functions put into `out` is whole, or they fail with -ENOMEM. */
struct exchange_wire {
    const char *name;

    /* The head of a response (status from 200 on; length of the body, -1: not known yet), and of one before it. */
    int (*begin)(struct http_exchange *x, int status, int64_t length, const char *date);
    int (*interim)(struct http_exchange *x, int status);
    int (*field)(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n);
    int (*end_head)(struct http_exchange *x);

    /* n bytes are the next of the body: what stands before them. HTTP_TOO_LONG: more than was announced. */
    int (*data)(struct http_exchange *x, size_t n, struct exchange_piece *piece);
    /* The n bytes that were announced are the body, and all of it. */
    void (*whole)(struct http_exchange *x, size_t n);
    /* No more of it: what stands at its end. HTTP_TOO_SHORT. */
    int (*finish)(struct http_exchange *x);

    void (*watch)(struct http_exchange *x);         /* the client's end is seen from now on, see exchange_lose */
    bool (*goes_on)(const struct http_exchange *x); /* may another request follow, once the body is read to its end? */
    bool (*next)(struct http_exchange *x);          /* takes it, where it is here already */
    void (*release)(struct http_exchange *x);       /* the connection goes on without x, or ends */
    void (*sever)(struct http_exchange *x);         /* ends it at once */
    void (*hijack)(struct http_exchange *x, struct conn *to); /* gives it away */
};

struct http_exchange {
    const struct exchange_wire *wire;
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
    size_t before;          /* bytes of `out` when the head of the response was begun */
    size_t body_out;        /* bytes of the body that come last in `out`, but for what frames them */
    size_t tail;            /* which is that much */
    uint64_t limit;         /* bytes of the body that are taken */
    bool measured;          /* the response's length was announced */
    bool continued;         /* 100 Continue was sent, or is not wanted */
    bool relayed;           /* or is another server's to send, which was asked in its place */
    bool gone;              /* the client has left */
    bool returned;          /* its handler has returned */
    bool overdue;           /* the request's time was up before it had */
    bool curtailed;         /* and a wait of the handler's was refused for that: its response may lack something */
    bool spoilt;            /* its body is malformed, cut off or too slow, or its trailer section too long */
    bool discarding;        /* what is left of its body is being dropped */
    int failure;            /* why the response cannot be completed, and the connection is cut; 0: it can */
};

enum { HTTP_UNREAD_MAX = 262144 };
enum { EXCHANGE_WAITS = 1 };
enum { EXCHANGE_COPIED = 16384 }; /* a longer piece of a body is written from where it is */

/* ---- a request ---- */

/* The request whose head is in x->head, `length` bytes at `bytes`, is x's; what frames its body and what its client
 * wants is the wire's to add. 0 or -ENOMEM. */
int exchange_open(struct http_exchange *x, const struct exchange_wire *wire, struct http_conn *hc, const char *bytes,
                  size_t length);

/* Takes the connection away from x: its request is over. */
struct http_conn *exchange_close(struct http_exchange *x);

/* The client has left: the handler's waits are cancelled. */
void exchange_lose(struct http_exchange *x);

/* Has the client left, or is the server being closed? */
bool exchange_is_gone(const struct http_exchange *x);

/* Was the request's time up before its handler returned? */
bool exchange_was_late(const struct http_exchange *x);

/* Was a wait of the handler's refused for that, or because the client had left? */
bool exchange_was_curtailed(const struct http_exchange *x);

/* The connection x is on is no longer the server's: its stream and what was received go to the closed conn `to`. It is
 * asked first: 0; EXCHANGE_BEGUN: a response has begun, which is no tunnel's; ERR_CLOSED; -EAGAIN: earlier answers must
 * be flushed before; -EBUSY: a task is in an operation on it; or why not. */
enum { EXCHANGE_BEGUN = 1 };
int exchange_may_hijack(struct http_exchange *x);
static inline void exchange_hijack(struct http_exchange *x, struct conn *to) { x->wire->hijack(x, to); }

/* ---- its body ---- */

/* Some of it, at most so many bytes: EXCHANGE_WAITS for http_body_some; ERR_EOF; or why not. A client that asked
 * whether it may send its body is told so. */
int exchange_read(struct http_exchange *x, struct task *t, size_t most);

/* All of a body whose length is known, and at most that much: EXCHANGE_WAITS for http_body_whole; or why not. */
int exchange_read_whole(struct http_exchange *x, struct task *t, size_t most);

/* The operation has ended, and what it has found was handed out. */
void exchange_has_read(struct task *t);

/* Was all of it handed out? */
static inline bool exchange_is_read(const struct http_exchange *x) { return x->body.over && !x->body.held; }

/* Does a task wait for some of it? */
static inline bool exchange_is_being_read(const struct http_exchange *x) { return x->conn->c.side[POLL_R].holder; }

/* Is it framed by a length that is known? */
static inline bool exchange_is_whole(const struct http_exchange *x) { return x->body.framing == HTTP_BY_LENGTH; }

/* Will the client send what is left of its body, and is that little enough to be read for the sake of the
 * connection? */
bool exchange_is_short(const struct http_exchange *x);

/* ---- its response ---- */

static inline enum http_phase exchange_phase(const struct http_exchange *x)
{
    return (enum http_phase)x->framing.phase;
}

/* The status that was sent, 0 where no response has begun; bytes of its body. */
static inline int exchange_status(const struct http_exchange *x)
{
    return exchange_phase(x) == HTTP_UNSENT ? 0 : x->framing.status;
}

static inline uint64_t exchange_bytes(const struct http_exchange *x)
{
    return exchange_phase(x) == HTTP_UNSENT ? 0 : x->framing.total;
}

/* Is another task in the middle of writing it? */
static inline bool exchange_is_busy(const struct http_exchange *x) { return x->conn->c.side[POLL_W].holder; }

/* Begins its head: the length of the body, or -1 where that is not known yet; a content type, or NULL; dated: a Date is
 * among its fields. These follow, and exchange_end_head, as above. 0; EXCHANGE_BAD_VALUE; -ENOMEM. */
int exchange_begin(struct http_exchange *x, int status, int64_t length, const char *type, size_t n, bool dated);

/* One of the handler's fields; value NULL: it has none that could be sent. */
enum { EXCHANGE_BAD_NAME = 1, EXCHANGE_BAD_VALUE, EXCHANGE_NOT_YOURS /* it frames the message */ };
int exchange_field(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n);

/* 0; or r, with the head taken back, and then the response has failed: whoever does not look at the result would have
 * another answer sent in its place. */
int exchange_lose_head(struct http_exchange *x, int r);
static inline int exchange_end_head(struct http_exchange *x, int r)
{
    must(r <= 0);
    r = r < 0 ? r : x->wire->end_head(x);
    if (r < 0)
        return exchange_lose_head(x, r);
    x->framing.phase = HTTP_IN_BODY;
    return 0;
}

/* Takes the head back, for another one. */
static inline void exchange_drop_head(struct http_exchange *x) { x->out.end = x->out.start + x->before; }

/* The body, in pieces. EXCHANGE_WAITS: for conn_write, while the bytes stay where they are; then exchange_written.
 * 0: it needs no waiting. HTTP_TOO_LONG: more than was announced, nothing is changed. -EBUSY. Or why not. */
int exchange_data(struct http_exchange *x, struct task *t, const char *bytes, size_t n);

/* All of the body at once, as long as was announced, and the response's end. t: needed where it would wait. */
int exchange_whole(struct http_exchange *x, struct task *t, const char *bytes, size_t n);

/* Would exchange_whole wait for the client? */
static inline bool exchange_would_wait(const struct http_exchange *x, size_t n)
{
    return n > EXCHANGE_COPIED && !x->peer.head;
}

/* A few bytes that are to leave together with what follows them. 0, HTTP_TOO_LONG, -ENOMEM. */
int exchange_lead(struct http_exchange *x, const char *bytes, size_t n);

/* `length` bytes of f, which is open, of a response whose length was announced. EXCHANGE_WAITS: for conn_sendfile; then
 * exchange_filed. 0; HTTP_TOO_LONG; -EAGAIN: what was written before must be flushed first; or why not. */
int exchange_file(struct http_exchange *x, struct task *t, struct conn_file *f, uint64_t offset, size_t length);

/* The body is over. HTTP_TOO_SHORT: less came than was announced. */
int exchange_finish(struct http_exchange *x);

/* Sends what lies in `out`, as exchange_data. */
int exchange_send(struct http_exchange *x, struct task *t);

/* The operation has ended: its result, 0 or why not. */
int exchange_written(struct task *t);
int exchange_filed(struct task *t);

/* What was written leaves as far as the socket takes it. 0; -EAGAIN: a task has to go on with it; or why not. */
int exchange_flush(struct http_exchange *x);

/* Has what lies in `out` sent, should the worker wait for something else before it is done. */
static inline void exchange_flush_later(struct http_exchange *x) { loop_late(x->server->loop, &x->late); }

/* The same now. */
void exchange_push(struct http_exchange *x);

/* ---- broken is broken ---- */

/* The response cannot be completed, for the reason r, which every later call is told too: the first one stays. What
 * lies in `out` may still leave. */
static inline void exchange_fail(struct http_exchange *x, int r) { x->failure = x->failure ? x->failure : r; }

/* The same of a write that has ended in the middle: what lies in `out` is dropped, for it would stand behind a gap, and
 * so are `unsent` bytes of the body that were to follow it. Neither counts as sent. */
void exchange_cut(struct http_exchange *x, int r, size_t unsent);

/* The handler gives its response up; the client is to notice. */
void exchange_abort(struct http_exchange *x);

#endif
