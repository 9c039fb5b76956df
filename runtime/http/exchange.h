/* SPDX-License-Identifier: MIT */
/* exchange.h - one request and its response: what a handler can do with them, on any wire.
 *
 * Called by h1_exchange, http_heads, http_workers, http_server and the Lua faces.
 * An exchange belongs to a worker, which uses it for one request after another. What a handler may do, the limits and
 * the refusals are decided here. How things are written, and what becomes of the connection, is decided by the wire:
 * one constant table for each protocol (h1_exchange.c).
 *
 * A function that may have to wait returns EXCHANGE_WAITS: t->op is prepared, the caller starts the operation that the
 * function names on the exchange's connection, and reports its end. */
#ifndef MOONPARK_EXCHANGE_H
#define MOONPARK_EXCHANGE_H

#include "http/http_message.h"
#include "http/http_conn.h"

struct conn_file;

/* Bytes of a body that are about to be written. */
struct exchange_piece {
    bool muted;         /* do not write them */
    const char *after;  /* what follows them on the wire, "" for nothing */
};

/* A protocol. What its functions append to `out` is complete, or they return -ENOMEM. */
struct exchange_wire {
    const char *name;

    /* The head of a response (status from 200 on; length of the body, -1: not known yet), or of an interim one. */
    int (*begin)(struct http_exchange *x, int status, int64_t length, const char *date);
    int (*interim)(struct http_exchange *x, int status);
    int (*field)(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n);
    int (*end_head)(struct http_exchange *x);

    /* n bytes of the body come next: appends what precedes them. HTTP_TOO_LONG: more than was announced. */
    int (*data)(struct http_exchange *x, size_t n, struct exchange_piece *piece);
    /* The n bytes that were announced are the whole body. */
    void (*whole)(struct http_exchange *x, size_t n);
    /* Ends the body: appends what marks its end. HTTP_TOO_SHORT: less than was announced. */
    int (*finish)(struct http_exchange *x);

    void (*watch)(struct http_exchange *x);         /* from now on notices when the client leaves: exchange_lose */
    bool (*goes_on)(const struct http_exchange *x); /* may another request follow, once the body is read to its end? */
    bool (*next)(struct http_exchange *x);          /* takes that request, if it is here already */
    void (*release)(struct http_exchange *x);       /* the connection goes on without x, or ends */
    void (*sever)(struct http_exchange *x);         /* ends the connection at once */
    void (*hijack)(struct http_exchange *x, struct conn *to); /* gives the connection away */
};

struct http_exchange {
    const struct exchange_wire *wire;
    struct http_conn *conn; /* NULL between requests */
    struct http_server *server;
    struct scope *scope;    /* the worker's: cancelled when the client goes away; NULL once the worker has ended */
    struct late late;       /* flushes `out` while the worker waits for something else */
    struct waiter waiter;   /* in the server's list of idle workers */
    uint64_t serial;        /* of the request: a handle with another one is stale */
    struct buf bytes;       /* of the head */
    struct buf trailer;     /* bytes of the trailer section, if there is one */
    struct http_head head;  /* spans of bytes */
    struct http_peer peer;
    struct http_body body;
    struct http_out framing;
    struct buf out;         /* written, but not sent yet */
    size_t before;          /* bytes in `out` when the head of the response was begun */
    size_t body_out;        /* bytes of the body that come last in `out`, except for what frames their end */
    size_t tail;            /* the length of that */
    uint64_t limit;         /* the most bytes of the body that are accepted */
    bool measured;          /* the response's length was announced */
    bool continued;         /* 100 Continue was sent, or is not wanted */
    bool relayed;           /* 100 Continue is left to the server to which the request is forwarded */
    bool gone;              /* the client has left */
    bool returned;          /* its handler has returned */
    bool overdue;           /* the request's time was up before the handler returned */
    bool curtailed;         /* a wait of the handler was cancelled: the response may lack something */
    bool spoilt;            /* the body is malformed, cut off or too slow, or its trailer section too long */
    bool discarding;        /* the rest of the body is being discarded */
    int failure;            /* why the response cannot be completed and the connection is cut; 0: it can */
};

enum { HTTP_UNREAD_MAX = 262144 };
enum { EXCHANGE_WAITS = 1 };
enum { EXCHANGE_COPIED = 16384 }; /* the longest piece of a body that is copied; longer ones are written in place */

/* ---- a request ---- */

/* Gives x the request whose head is in x->head, and its `length` bytes at `bytes`. The wire adds what frames its body
 * and what its client wants. Returns 0 or -ENOMEM. */
int exchange_open(struct http_exchange *x, const struct exchange_wire *wire, struct http_conn *hc, const char *bytes,
                  size_t length);

/* Takes the connection away from x, whose request is over, and returns it. */
struct http_conn *exchange_close(struct http_exchange *x);

/* The client has left: cancels the handler's waits. */
void exchange_lose(struct http_exchange *x);

/* Has the client left, or is the server being closed? */
bool exchange_is_gone(const struct http_exchange *x);

/* Was the request's time up before its handler returned? */
bool exchange_was_late(const struct http_exchange *x);

/* Was a wait of the handler cancelled because of that, or because the client had left? */
bool exchange_was_curtailed(const struct http_exchange *x);

/* Takes x's connection from the server: its stream and the bytes received go to the closed conn `to`. Call
 * exchange_may_hijack first. It returns 0; EXCHANGE_BEGUN: a response has begun, and it opens no tunnel; ERR_CLOSED;
 * -EAGAIN: flush earlier responses first; -EBUSY: a task is in an operation on the connection; or why not. */
enum { EXCHANGE_BEGUN = 1 };
int exchange_may_hijack(struct http_exchange *x);
static inline void exchange_hijack(struct http_exchange *x, struct conn *to) { x->wire->hijack(x, to); }

/* ---- its body ---- */

/* Reads some of the body, at most `most` bytes. Returns EXCHANGE_WAITS: start http_body_some; ERR_EOF; or why not.
 * Sends 100 Continue if the client waits for it. */
int exchange_read(struct http_exchange *x, struct task *t, size_t most);

/* Reads all of a body whose length is known, at most `most` bytes. Returns EXCHANGE_WAITS: start http_body_whole; or
 * why not. */
int exchange_read_whole(struct http_exchange *x, struct task *t, size_t most);

/* Call when the operation has ended and what it found was handed out. */
void exchange_has_read(struct task *t);

/* Was all of the body handed out? */
static inline bool exchange_is_read(const struct http_exchange *x) { return x->body.over && !x->body.held; }

/* Is a task reading it? */
static inline bool exchange_is_being_read(const struct http_exchange *x) { return x->conn->c.side[POLL_R].holder; }

/* Is it framed by its length? */
static inline bool exchange_is_whole(const struct http_exchange *x) { return x->body.framing == HTTP_BY_LENGTH; }

/* Will the client send the rest of the body, and is that short enough to be read so that the connection can be kept? */
bool exchange_is_short(const struct http_exchange *x);

/* ---- its response ---- */

static inline enum http_phase exchange_phase(const struct http_exchange *x)
{
    return (enum http_phase)x->framing.phase;
}

/* The status that was sent, 0 if no response has begun; the bytes of its body. */
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

/* Begins the head; exchange_field and exchange_end_head follow. length: of the body, -1 if not known yet; type: its
 * content type, or NULL; dated: a Date is among the handler's fields. Returns 0; EXCHANGE_BAD_VALUE; -ENOMEM. */
int exchange_begin(struct http_exchange *x, int status, int64_t length, const char *type, size_t n, bool dated);

/* Adds one of the handler's fields. value NULL: it cannot be sent (EXCHANGE_BAD_VALUE). Returns 0, -ENOMEM, or: */
enum { EXCHANGE_BAD_NAME = 1, EXCHANGE_BAD_VALUE, EXCHANGE_NOT_YOURS /* it frames the message */ };
int exchange_field(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n);

/* Ends the head; r: the result so far. If r is negative or this fails, takes the head back and fails the response, so
 * that no other one is sent in its place if the result is ignored. Returns 0, or why not. */
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

/* Takes the head back, so that another one can be begun. */
static inline void exchange_drop_head(struct http_exchange *x) { x->out.end = x->out.start + x->before; }

/* Writes a piece of the body. Returns EXCHANGE_WAITS: start conn_write, with the bytes left where they are, then call
 * exchange_written; 0: no wait is needed; HTTP_TOO_LONG: more than was announced, and nothing has changed; -EBUSY; or
 * why not. */
int exchange_data(struct http_exchange *x, struct task *t, const char *bytes, size_t n);

/* Writes the whole body, as long as was announced, and ends the response. t: needed only if that would wait. Returns as
 * exchange_data. */
int exchange_whole(struct http_exchange *x, struct task *t, const char *bytes, size_t n);

/* Would exchange_whole wait for the client? */
static inline bool exchange_would_wait(const struct http_exchange *x, size_t n)
{
    return n > EXCHANGE_COPIED && !x->peer.head;
}

/* Adds a few bytes of the body, to be sent together with what follows. Returns 0, HTTP_TOO_LONG, -ENOMEM. */
int exchange_lead(struct http_exchange *x, const char *bytes, size_t n);

/* Sends `length` bytes of f, which is open, in a response whose length was announced. Returns EXCHANGE_WAITS: start
 * conn_sendfile, then call exchange_filed; 0; HTTP_TOO_LONG; -EAGAIN: flush what was written before; or why not. */
int exchange_file(struct http_exchange *x, struct task *t, struct conn_file *f, uint64_t offset, size_t length);

/* Ends the body. HTTP_TOO_SHORT: less was written than was announced. */
int exchange_finish(struct http_exchange *x);

/* Sends what is in `out`. Returns as exchange_data. */
int exchange_send(struct http_exchange *x, struct task *t);

/* Call when the operation has ended. Returns 0, or why it failed. */
int exchange_written(struct task *t);
int exchange_filed(struct task *t);

/* Sends as much of `out` as the socket takes now. Returns 0: all; -EAGAIN: a task has to send the rest; -EBUSY; or why
 * not. */
int exchange_flush(struct http_exchange *x);

/* Has `out` flushed if the worker waits for something else first. */
static inline void exchange_flush_later(struct http_exchange *x) { loop_late(x->server->loop, &x->late); }

/* Does that now. */
void exchange_push(struct http_exchange *x);

/* ---- broken is broken ---- */

/* The response cannot be completed, for the reason r. Later calls return that reason too; the first one stays. What is
 * in `out` may still be sent. */
static inline void exchange_fail(struct http_exchange *x, int r) { x->failure = x->failure ? x->failure : r; }

/* The same after a write that ended in the middle: drops `out`, which would come after a gap, and the `unsent` bytes of
 * the body that were to follow it. Neither counts as sent. */
void exchange_cut(struct http_exchange *x, int r, size_t unsent);

/* The handler gives its response up; the client will notice. */
void exchange_abort(struct http_exchange *x);

#endif
