/* SPDX-License-Identifier: MIT */
/* conn.h - a connection (or a listener): a stream, its pollDesc, a buffer, and a queue a direction.
 *
 * What an operation does is a constant of the file that does it (conn_read.c, conn_write.c, a protocol's):
 * here is the frame around each.
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

#include "base/buf.h"
#include "loop/loop.h"
#include "net/stream.h"

struct conn;

/* A kind of operation: a constant of the file that does it. */
struct conn_op {
    struct wait_kind kind; /* first: a parked task's wait.kind leads here */
    uint8_t side;          /* POLL_R or POLL_W: which queue it stands in */
    int (*step)(struct conn *c, struct task *t);
};

#define CONN_OP(name_, side_, step_)                                                              \
    {.kind = {.name = name_, .attempt = conn_attempt, .push = conn_push, .undo = conn_undo,      \
              .deadline = conn_deadline, .describe = conn_describe_wait},                        \
     .side = side_, .step = step_}

/* A step does one piece of an operation without waiting: 0: done; CONN_GO_ON: call again; -EAGAIN: park on
 * side stream.again first; CONN_LATER, CONN_OTHERS; or why not. Its parameters and its result are in t->op. */
enum {
    CONN_GO_ON = 2,
    CONN_LATER = 3, /* nothing will report that it can go on: call again after a pause, see conn_pause */
    CONN_OTHERS = 4, /* call again after other tasks have run: this was a large piece */
};

/* What the parameters of an operation whose step says CONN_LATER begin with. */
struct conn_pause {
    int64_t ns;
};

/* Of an accept. */
struct conn_accepting {
    struct conn *accepted; /* a closed one, which is opened */
    int place;             /* of the object to be returned, among the arguments */
};

/* Of a connect under way. */
struct conn_connecting {
    int place;
    bool bound; /* from a chosen local address */
};

extern const struct conn_op conn_readable, conn_writable; /* wait only */
extern const struct conn_op conn_handshake;               /* stream_handshake */
extern const struct conn_op conn_accept;                  /* struct conn_accepting */
extern const struct conn_op conn_connect;                 /* struct conn_connecting: the outcome */

extern const char conn_mark; /* its address marks every conn, of whatever class */

enum conn_kind { CONN_STREAM, CONN_LISTENER, CONN_PACKET };

struct conn_side {
    struct task *holder; /* whose operation it is */
    struct list queue;   /* waiters behind it */
};

struct conn {
    const void *mark; /* first: &conn_mark, which marks the userdata as ours, see face.h */
    void (*check)(const struct conn *c); /* what its owner promises, for core.check(); or NULL */
    struct loop *loop;
    struct stream stream;
    struct buf in;
    struct conn_side side[2];
    int64_t timeout; /* ns for each operation; negative: none */
    struct unix_path *path;  /* of a listener or packet socket, and goes with it; or NULL */
    const struct stream_layer *layer; /* of a listener: it lies over every stream that is accepted; or NULL */
    struct list link;        /* among the loop's open ones */
    const struct site *site; /* where it was made; NULL where that is not recorded */
    uint64_t id, creator;    /* its own and the making task's; recorded where site is */
    bool closed;
    uint8_t kind; /* enum conn_kind */
    bool ended;   /* the stream has ended: no need to ask again */
    bool drained; /* the last read was short: nothing is there until readiness is reported */
    bool pinned;  /* `in` is being read by a push: it outlives a close */
    bool lost;    /* bytes were received that no memory could hold: the stream is broken */
    bool lasting; /* a write's time counts from its last progress: a slow reader is no dead one */
};

/* Makes c (zeroed) a closed one. */
void conn_init(struct conn *c, struct loop *loop);

/* Opens a closed c around a stream, which it then owns. */
void conn_open(struct conn *c, const struct stream *stream);

/* Puts a stream over that of an open c, which nobody uses and which has received nothing that was not read. 0;
 * ERR_CLOSED, -EBUSY, -ENOMEM; -EPROTO: bytes are there already, which would be taken for the new stream's. */
int conn_cover(struct conn *c, const struct stream_layer *layer, bool accepts);

/* The next stream that a listener accepts. 0, -EAGAIN, or why not. */
int conn_accept_stream(struct conn *listener, struct stream *s);

/* The same around a socket. */
void conn_open_socket(struct conn *c, const struct stream_ops *ops, int fd);

/* The open `from`, which nobody uses, becomes the closed `to`: the stream, its pollDesc and what was received. */
void conn_move(struct conn *to, struct conn *from);

/* Gives back what a closed one may still hold; it is not used afterwards. */
void conn_fini(struct conn *c);

/* Starts an operation of the running task t (t->op filled in). SCHED_PARKED; 0: done; or why not. */
int conn_start(struct conn *c, struct task *t, const struct conn_op *op);

/* What all operations have in common, for CONN_OP. */
int conn_attempt(struct task *t);
int conn_push(struct lua_State *L, struct task *t);
void conn_undo(struct task *t);
int64_t conn_deadline(const struct task *t);
void conn_describe_wait(const struct task *t, char *text, size_t n);

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

/* Both sides of c are t's, which does something else with it than an operation: others queue, or hear that it is
 * closed. Harmless twice. 0, ERR_CLOSED or -EBUSY. */
int conn_hold(struct conn *c, struct task *t);
static inline bool conn_is_held(const struct conn *c, const struct task *t)
{
    return c->side[POLL_R].holder == t && c->side[POLL_W].holder == t;
}
void conn_let_go(struct conn *c); /* of one that is held */

/* Absolute ns, 0: none, negative: passed. mode: MODE_R | MODE_W. 0, ERR_CLOSED or -ENOMEM. */
int conn_set_deadline(struct conn *c, int64_t when, int mode);

/* An option of its socket, see socket.h. ERR_CLOSED, or -errno: -ENOTSOCK if it has none. */
int conn_set_option(struct conn *c, const char *name, int value);
int conn_get_option(struct conn *c, const char *name, int *value);

/* Half-close: 0, ERR_CLOSED, or -errno. */
int conn_close_write(struct conn *c);

/* Fails everybody who waits with "closed", then gives the descriptor back, and a unix listener's path:
 * an address can be listened on again at once. Harmless twice. */
void conn_close(struct conn *c);

/* Closes c, but its descriptor stays open, is returned, and belongs to the caller; so does a unix listener's
 * path. ERR_CLOSED; -EOPNOTSUPP: there is more to the stream than a descriptor. */
int conn_detach(struct conn *c);

/* Is the side ready without waiting (buffered bytes count)? 1, 0 (stream.again says what must become ready), or a
 * negative code. */
int conn_ready(struct conn *c, int side);

/* The pollDesc, opened where it was not yet: for select and deadlines. 0 or a negative code. */
int conn_poll(struct conn *c, struct pollDesc **pd);

/* "tcp 127.0.0.1:80 to 127.0.0.1:5000": for people. At most n bytes, terminated. */
size_t conn_describe(const struct conn *c, char *text, size_t n);

void conn_check(const struct conn *c);

#endif
