/* SPDX-License-Identifier: MIT */
/* conn.h - a connection (or a listener): a stream, its pollDesc, a buffer, and a queue a direction.
 *
 * Floor 5: this header; the steps of the operations (conn_*.c) are on 6, their frame (conn.c) on 7.
 * One task reads and one writes at a time; others queue in the order they came. A queued one leaves by
 * itself when it is cancelled or its time is up.
 *
 *   an operation    starts     conn_start: refused, or takes its side, or queues for it
 *                   goes on    conn's wait kinds: after a wake, before any Lua runs
 *                   ends       its side goes to the next in the queue; the face pushes the result
 *
 * Bytes that were received and not handed out stay in `in`: a read that fails loses nothing.
 * The deadline of a side is looked at when an operation begins, so a task that always finds data
 * still times out; after limits.operations pieces of work an operation lets other tasks run. */
#ifndef MOONPARK_CONN_H
#define MOONPARK_CONN_H

#include "addr.h"
#include "buf.h"
#include "loop.h"
#include "stream.h"

enum conn_op {
    CONN_READ,     /* op.limit: most; out: op.length bytes, in scratch or, with op.flag, in `in` */
    CONN_EXACTLY,  /* op.limit: how many; out: op.length bytes of `in` */
    CONN_LINE,     /* op.limit: most; out: op.length bytes of `in`, op.total to consume */
    CONN_UNTIL,    /* op.bytes, op.from: delimiter and its length; else as a line */
    CONN_ALL,      /* op.limit: most; out: op.length bytes of `in` */
    CONN_READABLE, /* waits only */
    CONN_ACCEPT,   /* op.target: a closed conn, which is opened */
    CONN_WRITE,    /* op.length: how many; out: op.total: how many were written */
    CONN_WRITABLE, /* waits only */
    CONN_SENDFILE, /* op.target: struct conn_file; op.limit: 0; out: op.total, as a write's; see conn_move.h */
    CONN_SPLICE_IN,  /* op.target: struct conn_hose; op.limit: most; out: op.total, 0: read() is next */
    CONN_SPLICE_OUT, /* op.target: struct conn_hose; out: op.total, as a write's */
    CONN_BODY,     /* of a connection of an HTTP server: see http_conn.h */
    CONN_WHOLE,
    CONN_RESPONSE, /* of an HTTP client: see http_client.h */
    CONN_RESPONSE_BODY,
    CONN_RESPONSE_WHOLE,
    CONN_CONNECT,  /* the outcome of a connect under way; op.flag: from a chosen local address */
    CONN_RECV_FROM, /* op.limit: most; out: op.length bytes in datagrams, op.total: its whole length */
    CONN_RECV_MANY, /* op.limit: most of each, op.from: how many; out: op.length datagrams */
    CONN_SEND_TO,   /* op.bytes, op.length; op.target, op.from: the address's text, or NULL */
    CONN_SEND_MANY, /* op.length: how many; out: op.total: how many were sent */
    CONN_SEND_FDS,  /* op.target: a conn_fds; op.bytes, op.length: go with it; out: op.total */
    CONN_RECV_FDS,  /* op.target: an empty conn_fds; op.limit: most; out: op.length bytes of `in`, the conn_fds */
};

/* A step does one piece of an operation without waiting: 0: done; CONN_GO_ON: call again; -EAGAIN: park on
 * side stream.again first; CONN_LATER, CONN_OTHERS; or why not. Its parameters and its result are in t->op. */
enum {
    CONN_GO_ON = 2,
    CONN_LATER = 3, /* nothing will report that it can go on: call again after op.limit ns */
    CONN_OTHERS = 4, /* call again after other tasks have run: this was a large piece */
};

/* What the Lua face hands down. */
struct conn_face {
    bool lasting; /* a write's time counts from its last progress: a slow reader is no dead one */
    /* Fills iov with a write's strings from byte op.total on; returns how many. */
    int (*gather)(struct task *t, struct iovec *iov, int max);
    int (*push)(struct lua_State *L, struct task *t);
    /* The string at place `index` (1 ...) of a CONN_SEND_MANY, and where it goes: its length, or NULL. */
    const char *(*datagram)(struct task *t, size_t index, size_t *n, const char **address, size_t *length);
};

extern const char conn_mark; /* its address marks every conn, of whatever class */

enum conn_kind { CONN_STREAM, CONN_LISTENER, CONN_PACKET };

struct conn_side {
    struct task *holder; /* whose operation it is */
    struct list queue;   /* waiters behind it */
};

struct conn {
    const void *mark; /* first: &conn_mark, which marks the userdata as ours, see face.h */
    const struct conn_face *face;
    struct loop *loop;
    struct stream stream;
    struct buf in;
    struct conn_side side[2];
    int64_t timeout; /* ns for each operation; negative: none */
    struct unix_path *path;  /* of a listener or packet socket, and goes with it; or NULL */
    struct list link;        /* among the loop's open ones */
    const struct site *site; /* where it was made; NULL where that is not recorded */
    uint64_t id, creator;    /* its own and the making task's; recorded where site is */
    bool closed;
    uint8_t kind; /* enum conn_kind */
    bool ended;   /* the stream has ended: no need to ask again */
    bool drained; /* the last read was short: nothing is there until readiness is reported */
    bool pinned;  /* `in` is being read by a push: it outlives a close */
    bool lost;    /* bytes were received that no memory could hold: the stream is broken */
};

/* Makes c (zeroed) a closed one. */
void conn_init(struct conn *c, struct loop *loop, const struct conn_face *face);

/* Opens a closed c around a stream, which it then owns. */
void conn_open(struct conn *c, const struct stream *stream);

/* The same around a socket. */
void conn_open_socket(struct conn *c, const struct stream_ops *ops, int fd);

/* The open `from`, which nobody uses, becomes the closed `to`: the stream, its pollDesc and what was received. */
void conn_move(struct conn *to, struct conn *from);

/* Gives back what a closed one may still hold; it is not used afterwards. */
void conn_fini(struct conn *c);

/* Starts an operation of the running task t (t->op filled in). SCHED_PARKED; 0: done; or why not. */
int conn_start(struct conn *c, struct task *t, enum conn_op op);

/* t's operation begins, or has made progress: c's timeout counts from now. */
static inline void conn_renew(const struct conn *c, struct task *t)
{
    t->op.deadline = c->timeout < 0 ? 0 : clock_add(clock_now(&c->loop->clock), c->timeout);
}

/* Ends the rest (CONN_LATER) of the side's holder, if it is resting. */
static inline void conn_rouse(struct conn_side *s)
{
    struct waiter *first = container_of(s->queue.next, struct waiter, link);
    if (!list_empty(&s->queue) && first->task == s->holder)
        sched_wake_waiter(first, 0);
}

/* Absolute ns, 0: none, negative: passed. mode: MODE_R | MODE_W. 0, ERR_CLOSED or -ENOMEM. */
int conn_set_deadline(struct conn *c, int64_t when, int mode);

/* Half-close: 0, ERR_CLOSED, or -errno. */
int conn_close_write(struct conn *c);

/* Fails everybody who waits with "closed", then gives the descriptor back, and a unix listener's path:
 * an address can be listened on again at once. Harmless twice. */
void conn_close(struct conn *c);

/* Closes c, but its descriptor stays open, is returned, and belongs to the caller; so does a unix listener's
 * path. ERR_CLOSED; -EOPNOTSUPP: there is more to the stream than a descriptor. */
int conn_detach(struct conn *c);

/* Is the side ready without waiting (buffered bytes count)? 1, 0, or a negative code. */
int conn_ready(struct conn *c, int side);

/* The pollDesc, opened where it was not yet: for select and deadlines. 0 or a negative code. */
int conn_poll(struct conn *c, struct pollDesc **pd);

/* "tcp 127.0.0.1:80 to 127.0.0.1:5000": for people. At most n bytes, terminated. */
size_t conn_describe(const struct conn *c, char *text, size_t n);

void conn_check(const struct conn *c);

#endif
