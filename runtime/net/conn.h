/* SPDX-License-Identifier: MIT */
/* conn.h - a connection (or a listener): a stream, its pollDesc, a buffer, and one queue per direction.
 *
 * An operation is a constant of the file that implements it (conn_read.c, conn_write.c, a protocol's file); the frame
 * around every operation is here.
 * One task reads and one writes at a time; others queue in FIFO order. A queued task leaves the queue when it is
 * cancelled or its deadline passes.
 *
 *   an operation    starts       conn_start: is refused, or takes its side, or queues for it
 *                   continues    in conn's wait kinds: after a wake, before any Lua runs
 *                   ends         its side passes to the next task in the queue; the face pushes the result
 *
 * Received bytes stay in `in` until they are handed out: a read that fails loses nothing.
 * An operation checks its side's deadline when it starts, so a task that always finds data still times out. After
 * limits.operations pieces of work it lets other tasks run. */
#ifndef MOONPARK_CONN_H
#define MOONPARK_CONN_H

#include "base/buf.h"
#include "loop/loop.h"
#include "net/share.h"
#include "net/stream.h"

struct conn;

/* A kind of operation: a constant of the file that implements it. */
struct conn_op {
    struct wait_kind kind; /* first: a parked task's wait.kind leads here */
    uint8_t side;          /* POLL_R or POLL_W: the queue it uses */
    int (*step)(struct conn *c, struct task *t);
};

#define CONN_OP(name_, side_, step_)                                                              \
    {.kind = {.name = name_, .attempt = conn_attempt, .push = conn_push, .undo = conn_undo,      \
              .deadline = conn_deadline, .describe = conn_describe_wait},                        \
     .side = side_, .step = step_}

/* A step does one piece of an operation without waiting. It returns 0: done; CONN_GO_ON: call again; -EAGAIN: park
 * until side stream.again is ready, then call again; CONN_LATER; CONN_OTHERS; or a negative code: the operation failed.
 * Its parameters and its result are in t->op. */
enum {
    CONN_GO_ON = 2,
    CONN_LATER = 3, /* no event will report that it can continue: call again after a pause, see conn_pause */
    CONN_OTHERS = 4, /* call again after other tasks have run: this was a large piece */
};

/* The first member of the parameters of every operation whose step may return CONN_LATER. */
struct conn_pause {
    int64_t ns;
};

/* The parameters of an accept. */
struct conn_accepting {
    struct conn *accepted; /* a closed one, which the accept opens */
    int place;             /* of the object to return, among the arguments */
};

/* The parameters of a connect under way. */
struct conn_connecting {
    int place;
    bool bound; /* from a chosen local address */
};

extern const struct conn_op conn_readable, conn_writable; /* only wait for readiness */
extern const struct conn_op conn_handshake;               /* stream_handshake */
extern const struct conn_op conn_accept;                  /* struct conn_accepting */
extern const struct conn_op conn_connect;                 /* struct conn_connecting: the outcome */

extern const char conn_mark; /* its address marks every conn, whatever its class */

enum conn_kind { CONN_STREAM, CONN_LISTENER, CONN_PACKET };

/* What a connection is a part of. */
struct conn_owner {
    void (*check)(const struct conn *c); /* checks the owner's invariants, for core.check() */
    void (*closed)(struct conn *c);      /* c has just been closed, by whomever; or NULL */
};

/* Timeouts of a connection by side, in ns; negative: none, 0: nothing waits. */
struct conn_times {
    int64_t whole[2]; /* for each operation */
    int64_t wait[2];  /* for each wait inside an operation: progress renews it */
};

struct conn_side {
    struct task *holder; /* the task whose operation is running; or NULL */
    struct list queue;   /* waiters for this side */
};

struct conn {
    const void *mark; /* first: &conn_mark, which marks the userdata as ours, see face.h */
    const struct conn_owner *owner; /* what c is a part of; or NULL */
    struct loop *loop;
    struct stream stream;
    struct buf in;
    struct conn_side side[2];
    int64_t timeout; /* for each operation, as in conn_times, of which it is the short form */
    struct conn_times *times; /* instead of it; or NULL */
    struct unix_path *path;  /* of a listener or packet socket: removed when it is closed; or NULL */
    const struct stream_layer *layer; /* of a listener: put over every accepted stream; or NULL */
    struct shared *shared;   /* of a listener that several workers share; or NULL */
    struct list link;        /* among the loop's open ones */
    const struct site *site; /* where it was made; NULL if that is not recorded */
    uint64_t taken;          /* bytes that reads have handed out */
    uint64_t id, creator;    /* its own id and the creating task's; recorded if site is */
    bool closed;
    uint8_t kind; /* enum conn_kind */
    bool ended;   /* the stream has ended: do not read it again */
    bool drained; /* the last read was short: nothing to read until readiness is reported */
    bool pinned;  /* a push is reading `in`: keep it even if c is closed */
    bool lost;    /* received bytes were dropped for lack of memory: the stream is broken */
    bool counted; /* it was accepted by a shared listener, and counts there until it is closed */
    uint8_t ahead; /* the next fill of `in` makes room for limits.buffer << ahead */
    bool lasting; /* a write's timeout restarts with each progress: a slow reader is not a dead one */
};

/* Makes c (zeroed) a closed connection. */
void conn_init(struct conn *c, struct loop *loop);

/* Opens a closed c around a stream, which it then owns. */
void conn_open(struct conn *c, const struct stream *stream);

/* Puts a stream over the one of an open c. Returns 0; ERR_CLOSED; -EBUSY: a task is in an operation on c; -EPROTO:
 * unread bytes are buffered, which would be mistaken for the new stream's; -ENOMEM. */
int conn_cover(struct conn *c, const struct stream_layer *layer, bool accepts);

/* Puts the layer over every stream that the listener accepts from now on; NULL: none. */
void conn_set_layer(struct conn *listener, const struct stream_layer *layer);

/* Accepts the next stream of a listener. Returns 0: conn_count must be called with the connection that is opened around
 * it; -EAGAIN; or another negative code. */
int conn_accept_stream(struct conn *listener, struct stream *s);

/* c, which has just been opened, was accepted by the listener: if that is shared, c counts until it is closed. */
static inline void conn_count(struct conn *c, const struct conn *listener)
{
    if (!listener->shared)
        return;
    c->counted = true;
    share_took(c->loop->share);
}

/* Makes the listener one of the loop's share. Returns 0; ERR_CLOSED; -EINVAL: the loop has no share, or it has no
 * descriptor; -EBUSY: a task waits on it; -ENOMEM, ... Harmless twice. */
int conn_share(struct conn *listener);

/* The loop leaves its share: its listeners accept as ordinary ones do, and nothing is counted any more. Harmless if it
 * has none. Returns 0; or, still in it, -errno of the poller: a listener that was out could not come back. */
int conn_leave_share(struct loop *l);

/* Like conn_open, around a socket. */
void conn_open_socket(struct conn *c, const struct stream_ops *ops, int fd);

/* Moves the stream, its pollDesc and the received bytes of `from` (open, no operation running) to `to` (closed). `from`
 * is closed then. */
void conn_move(struct conn *to, struct conn *from);

/* Closes c if it is open, and frees what it holds. c must not be used afterwards. */
void conn_fini(struct conn *c);

/* Starts an operation of the running task t (t->op filled in). Returns SCHED_PARKED; 0: done; or a negative code. */
int conn_start(struct conn *c, struct task *t, const struct conn_op *op);

/* What t is at, or was when it parked. */
static inline const struct conn_op *conn_op_of(const struct task *t)
{
    return container_of(t->wait.kind, struct conn_op, kind);
}

/* The functions that all operations share, for CONN_OP. */
int conn_attempt(struct task *t);
int conn_push(struct lua_State *L, struct task *t);
void conn_undo(struct task *t);
int64_t conn_deadline(const struct task *t);
void conn_describe_wait(const struct task *t, char *text, size_t n);

/* Ends the pause (CONN_LATER) of the side's holder, if it is pausing. */
static inline void conn_rouse(struct conn_side *s)
{
    struct waiter *first = container_of(s->queue.next, struct waiter, link);
    if (!list_empty(&s->queue) && first->task == s->holder)
        sched_wake_waiter(first, 0);
}

/* Gives both sides of c to t, for work that is not an operation: other tasks queue meanwhile, and fail if c is closed.
 * Harmless twice. Returns 0, ERR_CLOSED or -EBUSY. */
int conn_hold(struct conn *c, struct task *t);
static inline bool conn_is_held(const struct conn *c, const struct task *t)
{
    return c->side[POLL_R].holder == t && c->side[POLL_W].holder == t;
}
void conn_let_go(struct conn *c); /* undoes conn_hold */

/* Absolute ns, 0: none, negative: passed. mode: MODE_R | MODE_W. Returns 0, ERR_CLOSED, -ENOMEM, ... */
int conn_set_deadline(struct conn *c, int64_t when, int mode);

/* An option of its socket, see socket.h. Returns 0; ERR_CLOSED; or -errno: -ENOTSOCK if there is no socket. */
int conn_set_option(struct conn *c, const char *name, int value);
int conn_get_option(struct conn *c, const char *name, int *value);

/* Half-close. Returns 0, ERR_CLOSED, or -errno. */
int conn_close_write(struct conn *c);

/* Fails all waiting tasks with "closed", closes the descriptor and removes a unix listener's path, so the same address
 * can be listened on again at once. Harmless twice. */
void conn_close(struct conn *c);

/* Closes c but leaves its descriptor open and returns it: it belongs to the caller, and so does a unix listener's path.
 * ERR_CLOSED; -EOPNOTSUPP: the stream is more than a descriptor. */
int conn_detach(struct conn *c);

/* Is the side ready without waiting (buffered bytes count)? Returns 1; 0: stream.again says which side must become
 * ready; or a negative code. */
int conn_ready(struct conn *c, int side);

/* Is c open and unused, with nothing received, not even an end: could its stream be used again? */
static inline bool conn_is_quiet(struct conn *c)
{
    bool used = c->side[POLL_R].holder || c->side[POLL_W].holder || buf_len(&c->in) > 0 || c->ended || c->lost;
    return !c->closed && !used && conn_ready(c, POLL_R) == 0;
}

/* The pollDesc, opened if it was not yet: for select and deadlines. Returns 0 or a negative code. */
int conn_poll(struct conn *c, struct pollDesc **pd);

/* Describes c in reports: "tcp 127.0.0.1:80 to 127.0.0.1:5000". At most n bytes, terminated. */
size_t conn_describe(const struct conn *c, char *text, size_t n);

void conn_check(const struct conn *c);

#endif
