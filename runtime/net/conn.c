/* SPDX-License-Identifier: MIT */
/* conn.c - every operation is a small step function, called until it no longer returns "again"; the frame around it
 * (lock, deadline, cancel, park) is the same for all. */
#define _GNU_SOURCE
#include "net/conn.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "net/conn_time.h"
#include "net/fdstream.h"
#include "net/socket.h"
#include "net/unix_listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char conn_mark = 0;

/* ---- steps that are not reads or writes ---- */

static int step_ready(struct conn *c, struct task *t)
{
    int r = conn_ready(c, conn_op_of(t)->side);
    return r == 0 ? -EAGAIN : r < 0 ? r : 0;
}

static int step_accept(struct conn *c, struct task *t)
{
    struct stream s;
    c->stream.again = POLL_R;
    int r = conn_accept_stream(c, &s);
    if (r < 0)
        return r;
    struct conn *accepted = OPERATION(t, struct conn_accepting)->accepted;
    conn_open(accepted, &s);
    conn_count(accepted, c);
    return 0;
}

static int step_connect(struct conn *c, struct task *t)
{
    c->stream.again = POLL_W;
    int r = socket_connected(c->stream.fd);
    if (r == 0 && !OPERATION(t, struct conn_connecting)->bound && socket_is_self(c->stream.fd))
        return -ECONNREFUSED; /* nobody listens: the kernel has picked the same port for our end */
    return r == -EINPROGRESS ? -EAGAIN : r;
}

static int step_handshake(struct conn *c, struct task *t)
{
    c->stream.again = conn_op_of(t)->side;
    return stream_handshake(&c->stream);
}

/* ---- the frame ---- */

int conn_poll(struct conn *c, struct pollDesc **pd)
{
    *pd = c->stream.pd;
    if (*pd)
        return 0;
    int r = netpoll_open(&c->loop->netpoll, c->stream.fd, pd);
    if (r == 0) {
        stream_set_pd(&c->stream, *pd);
        (*pd)->tells = c->kind == CONN_PACKET;
    }
    return r;
}

static bool passed(int64_t deadline, int64_t now) { return deadline > 0 && deadline <= now; }

/* Where somebody else has closed its descriptor the number may be another's: nobody touches it any more. */
static void disown(struct conn *c)
{
    if (c->stream.pd && c->stream.pd->lost)
        stream_disown(&c->stream);
}

/* May the operation touch the stream now? Also takes old readiness. */
static int admit(struct conn *c, struct task *t)
{
    struct pollDesc *pd = c->stream.pd;
    int side = conn_op_of(t)->side;
    if (c->closed)
        return ERR_CLOSED;
    if (c->lost && side == POLL_R)
        return -ENOMEM;
    int64_t deadline = pd ? pd->side[side].deadline : 0;
    if (deadline > 0 || t->op.deadline > 0) {
        int64_t now = clock_now(&c->loop->clock);
        if (passed(deadline, now) || passed(t->op.deadline, now))
            return ERR_TIMEOUT;
    }
    if (!pd)
        return 0;
    if (netpoll_is_ready(pd, POLL_R))
        c->drained = false;
    disown(c);
    return netpoll_reset(pd, side);
}

/* On the operation's own side, whichever the stream waits for: its deadline holds, and nobody else stands there. */
static int park(struct conn *c, struct task *t)
{
    struct pollDesc *pd;
    int64_t deadline = conn_wait_deadline(c, t);
    if (deadline < 0)
        return ERR_TIMEOUT;
    int r = conn_poll(c, &pd), side = conn_op_of(t)->side;
    if (r < 0)
        return r;
    if (side == POLL_R)
        buf_release(&c->in);
    r = netpoll_wait(pd, side, t, t->wait.kind, c, deadline);
    if (r == SCHED_PARKED && c->stream.again != side)
        netpoll_cross(pd, side);
    return r;
}

/* Lets time pass, at the head of its own side's queue so that a close and a new deadline find it; work looks at
 * the deadlines then. */
static int wait_a_while(struct conn *c, struct task *t)
{
    int side = conn_op_of(t)->side;
    if (conn_wait_deadline(c, t) < 0)
        return ERR_TIMEOUT;
    int64_t until = clock_add(clock_now(&c->loop->clock), OPERATION(t, struct conn_pause)->ns);
    until = conn_sooner(netpoll_deadline(c->stream.pd, side), conn_sooner(t->op.deadline, until));
    int r = sched_park(t, t->wait.kind, c, until, 0);
    if (r < 0)
        return r;
    list_push(c->side[side].queue.next, &t->wait.self.link);
    return SCHED_PARKED;
}

/* Goes on until the operation is done, must wait, or has had its share. */
static int work(struct conn *c, struct task *t)
{
    const struct conn_op *op = conn_op_of(t);
    for (uint32_t pieces = 0;; pieces++) {
        int r = admit(c, t);
        if (r < 0)
            return r;
        r = op->step(c, t);
        if (r == -EAGAIN) {
            r = park(c, t);
            if (r != 0)
                return r; /* 0: readiness was reported meanwhile */
        } else if (r == CONN_LATER) {
            return wait_a_while(c, t);
        } else if (r != CONN_GO_ON && r != CONN_OTHERS) {
            return r;
        } else if (r == CONN_OTHERS || pieces >= limits.operations) {
            conn_wait_deadline(c, t); /* the time of the others counts */
            return sched_canceled(t) ? ERR_CANCELED : sched_again(t, &op->kind, c);
        }
    }
}

static void release(struct conn_side *s)
{
    s->holder = NULL;
    struct list *first = list_pop(&s->queue);
    if (!first)
        return;
    struct waiter *next = container_of(first, struct waiter, link);
    s->holder = next->task;
    sched_wake_waiter(next, 0);
}

/* What a write that is given up has in the stream will leave with the next one: it counts. */
static void give_up(struct conn *c, struct task *t)
{
    if (conn_op_of(t)->side == POLL_W) {
        t->op.total += c->stream.taken;
        c->stream.taken = 0;
    }
}

static int finish(struct conn *c, struct task *t, int r)
{
    if (r < 0)
        give_up(c, t);
    if (r != SCHED_PARKED)
        release(&c->side[conn_op_of(t)->side]);
    return r;
}

int conn_start(struct conn *c, struct task *t, const struct conn_op *op)
{
    struct conn_side *s = &c->side[op->side];
    t->wait.kind = &op->kind;
    t->wait.object = c;
    t->wait.extra = NULL;
    if (c->closed)
        return ERR_CLOSED;
    if (sched_canceled(t))
        return ERR_CANCELED;
    conn_renew(c, t);
    if (!s->holder) {
        c->drained = c->drained && !conn_tries_once(c, t); /* who never waits meets no event: it has to look */
        s->holder = t;
        return finish(c, t, work(c, t));
    }
    int64_t deadline = conn_wait_deadline(c, t);
    if (deadline < 0)
        return ERR_TIMEOUT;
    int r = sched_park(t, &op->kind, c, deadline, 0);
    if (r < 0)
        return r;
    list_push(&s->queue, &t->wait.self.link);
    return SCHED_PARKED;
}

int conn_hold(struct conn *c, struct task *t)
{
    if (c->closed)
        return ERR_CLOSED;
    if (conn_is_held(c, t))
        return 0;
    if (c->side[POLL_R].holder || c->side[POLL_W].holder)
        return -EBUSY;
    c->side[POLL_R].holder = c->side[POLL_W].holder = t;
    t->op.total = 0; /* nothing moves */
    return 0;
}

void conn_let_go(struct conn *c)
{
    release(&c->side[POLL_R]);
    release(&c->side[POLL_W]);
}

int conn_attempt(struct task *t)
{
    struct conn *c = t->wait.object;
    struct conn_side *s = &c->side[conn_op_of(t)->side];
    if (s->holder != t)
        return t->wait.result; /* left the queue: timeout, closed, canceled */
    int r = t->wait.result;
    if (t->wait.extra) /* it stood in the poller, not in the queue */
        r = netpoll_waited(t);
    else if (r == ERR_TIMEOUT)
        r = 0; /* its pause is over */
    if (r == SCHED_PARKED)
        return r;
    t->wait.extra = NULL;
    c->drained = false;
    disown(c);
    return finish(c, t, r < 0 ? r : work(c, t));
}

void conn_undo(struct task *t)
{
    list_del(&t->wait.self.link);
    if (t->wait.extra)
        netpoll_undo(t);
}

int conn_push(struct lua_State *L, struct task *t) { return t->op.push(L, t); }

/* A packet socket's kind is in its name already: "udp 127.0.0.1:53", "unixgram /path". */
static void describe_address(const struct conn *c, enum stream_end end, char *text)
{
    struct addr a;
    if (stream_address(&c->stream, end, &a) < 0)
        return;
    if (c->kind == CONN_PACKET)
        addr_unmap(&a);
    size_t n = addr_format(&a, text), scheme = c->kind == CONN_PACKET && a.any.sa_family == AF_UNIX ? 5 : 0;
    memmove(text, text + scheme, n - scheme + 1);
}

size_t conn_describe(const struct conn *c, char *text, size_t n)
{
    char local[ADDR_TEXT_MAX] = "", peer[ADDR_TEXT_MAX] = "";
    if (c->closed)
        return (size_t)snprintf(text, n, "closed connection");
    if (c->stream.ops->describe)
        return c->stream.ops->describe(&c->stream, text, n);
    describe_address(c, STREAM_LOCAL, local);
    if (c->kind != CONN_LISTENER)
        describe_address(c, STREAM_PEER, peer);
    if (c->stream.ops == &fdstream_ops)
        snprintf(local, sizeof local, "%d", c->stream.fd);
    return (size_t)snprintf(text, n, "%s%s%s%s%s%s", c->stream.ops->name, c->kind == CONN_LISTENER ? " listener" : "",
                            local[0] ? " " : "", local, peer[0] ? " to " : "", peer);
}

void conn_describe_wait(const struct task *t, char *text, size_t n)
{
    conn_describe(t->wait.object, text, n);
}

int64_t conn_deadline(const struct task *t)
{
    const struct conn *c = t->wait.object;
    return netpoll_deadline(c->stream.pd, conn_op_of(t)->side);
}

const struct conn_op conn_readable = CONN_OP("wait_readable", POLL_R, step_ready);
const struct conn_op conn_writable = CONN_OP("wait_writable", POLL_W, step_ready);
const struct conn_op conn_handshake = CONN_OP("handshake", POLL_R, step_handshake);
const struct conn_op conn_accept = CONN_OP("accept", POLL_R, step_accept);
const struct conn_op conn_connect = CONN_OP("connect", POLL_W, step_connect);

/* ---- opening and closing ---- */

void conn_init(struct conn *c, struct loop *loop)
{
    c->mark = &conn_mark;
    c->loop = loop;
    c->closed = true;
    c->timeout = -1;
    c->stream.fd = -1;
    list_init(&c->link);
    list_init(&c->side[POLL_R].queue);
    list_init(&c->side[POLL_W].queue);
}

void conn_open(struct conn *c, const struct stream *stream)
{
    if (!stream->pd) /* the number may have been another's, whose descriptor is gone behind our back */
        netpoll_look_at(&c->loop->netpoll, stream->fd);
    must(c->closed);
    c->stream = *stream;
    c->closed = false;
    stream_placed(&c->stream);
    list_push(&c->loop->conns, &c->link);
}

void conn_open_socket(struct conn *c, const struct stream_ops *ops, int fd)
{
    conn_open(c, &(struct stream){.ops = ops, .fd = fd});
}

static int accept_next(const struct conn *listener)
{
    struct addr peer;
    return socket_accept(listener->stream.fd, &peer);
}

static int accept_shared(const struct conn *listener)
{
    if (!share_admits(listener->shared))
        return -EAGAIN;
    int fd = accept_next(listener);
    if (fd == -EAGAIN)
        share_waits(listener->shared);
    else if (fd < 0)
        share_declines(listener->shared);
    return fd;
}

int conn_accept_stream(struct conn *listener, struct stream *s)
{
    int fd = listener->shared ? accept_shared(listener) : accept_next(listener);
    if (fd < 0)
        return fd;
    *s = (struct stream){.ops = listener->stream.ops, .fd = fd};
    int r = listener->layer ? stream_cover(s, listener->layer, listener->loop, true) : 0;
    if (r == 0)
        return 0;
    s->ops->close(s);
    if (listener->shared)
        share_declines(listener->shared);
    return r;
}

int conn_cover(struct conn *c, const struct stream_layer *layer, bool accepts)
{
    if (c->closed)
        return ERR_CLOSED;
    if (c->side[POLL_R].holder || c->side[POLL_W].holder)
        return -EBUSY;
    if (buf_len(&c->in) > 0)
        return -EPROTO;
    c->drained = false;
    return stream_cover(&c->stream, layer, c->loop, accepts);
}

void conn_set_layer(struct conn *listener, const struct stream_layer *layer)
{
    const struct stream_layer *before = listener->layer;
    if (layer && layer->hold)
        layer->hold(layer, 1);
    listener->layer = layer;
    if (before && before->hold)
        before->hold(before, -1);
}

void conn_move(struct conn *to, struct conn *from)
{
    must(to->closed && !from->closed && !from->side[POLL_R].holder && !from->side[POLL_W].holder);
    conn_open(to, &from->stream);
    to->in = from->in;
    to->kind = from->kind;
    to->path = from->path;
    to->layer = from->layer;
    to->shared = from->shared;
    to->counted = from->counted;
    from->path = NULL;
    from->layer = NULL;
    from->shared = NULL;
    from->counted = false;
    to->ended = from->ended;
    to->drained = from->drained;
    to->lost = from->lost;
    from->in = (struct buf){0};
    from->stream = (struct stream){.fd = -1};
    from->closed = true;
    list_del(&from->link);
}

void conn_fini(struct conn *c)
{
    conn_close(c);
    sys_free(c->times);
    c->times = NULL;
    buf_fini(&c->in);
}

static void fail_queue(struct conn_side *s)
{
    for (struct list *l; (l = list_pop(&s->queue));)
        sched_wake_waiter(container_of(l, struct waiter, link), ERR_CLOSED);
}

static void leave_share(struct conn *c)
{
    if (c->shared)
        share_drop(c->shared);
    if (c->counted)
        share_lost(c->loop->share);
    c->shared = NULL;
    c->counted = false;
}

/* If no task waits for a connection, nor is about to take one, another worker shall have it. */
static bool on_shared(struct pollDesc *pd, uint32_t events)
{
    struct conn *c = pd->owner;
    if (events & POLLER_LOST || !c->shared)
        return false;
    share_woken(c->shared);
    if (c->side[POLL_R].holder || netpoll_has_waiter(pd))
        return false;
    share_declines(c->shared);
    return true;
}

int conn_share(struct conn *listener)
{
    struct pollDesc *pd;
    struct share *s = listener->loop->share;
    if (listener->closed)
        return ERR_CLOSED;
    if (!s || listener->stream.fd < 0)
        return -EINVAL;
    if (listener->shared)
        return 0;
    int r = conn_poll(listener, &pd);
    if (r == 0 && (listener->side[POLL_R].holder || netpoll_has_waiter(pd)))
        r = -EBUSY;
    if (r < 0)
        return r;
    listener->shared = share_add(s, pd);
    if (!listener->shared)
        return -ENOMEM;
    netpoll_notify(pd, on_shared, listener);
    return 0;
}

int conn_leave_share(struct loop *l)
{
    int r = l->share ? share_come_back(l->share) : 0;
    if (r < 0)
        return r;
    for (struct list *at = l->conns.next; at != &l->conns; at = at->next) {
        struct conn *c = container_of(at, struct conn, link);
        c->counted = false;
        if (c->shared)
            share_drop(c->shared);
        c->shared = NULL;
    }
    share_leave(l->share);
    return 0;
}

/* Everything that closing is, but for the descriptor and a listener's path. */
static void shut(struct conn *c)
{
    c->closed = true;
    disown(c);
    leave_share(c);
    if (c->stream.pd)
        netpoll_unblock(c->stream.pd); /* those who hold a side came before those who queue */
    fail_queue(&c->side[POLL_R]);
    fail_queue(&c->side[POLL_W]);
    if (c->stream.pd) {
        netpoll_close(c->stream.pd);
        stream_set_pd(&c->stream, NULL);
    }
    conn_set_layer(c, NULL);
    list_del(&c->link);
    if (!c->pinned)
        buf_fini(&c->in);
}

void conn_close(struct conn *c)
{
    if (c->closed)
        return;
    unix_path_remove(c->path); /* while it listens: so nobody takes the path over meanwhile */
    c->path = NULL;
    shut(c);
    c->stream.ops->close(&c->stream);
    c->stream = (struct stream){.ops = c->stream.ops, .fd = -1};
    if (c->owner && c->owner->closed)
        c->owner->closed(c);
}

int conn_detach(struct conn *c)
{
    disown(c);
    int fd = c->stream.fd;
    if (c->closed)
        return ERR_CLOSED;
    if (fd < 0 || c->stream.own) /* a pair, or a stream over another */
        return -EOPNOTSUPP;
    unix_path_forget(c->path);
    c->path = NULL;
    shut(c);
    c->stream.fd = -1;
    return fd;
}

/* A unix socket does not report its own half-close: a parked writer is told to look. */
int conn_close_write(struct conn *c)
{
    int r = c->closed ? ERR_CLOSED : c->stream.ops->close_write(&c->stream);
    if (r == 0 && c->stream.pd)
        netpoll_report(c->stream.pd, POLL_W);
    return r;
}

int conn_set_deadline(struct conn *c, int64_t when, int mode)
{
    struct pollDesc *pd;
    if (c->closed)
        return ERR_CLOSED;
    if (when == 0 && !c->stream.pd)
        return 0;
    int r = conn_poll(c, &pd);
    if (r == 0)
        r = netpoll_set_deadline(pd, when, mode);
    if (r == 0 && mode & MODE_W)
        conn_rouse(&c->side[POLL_W]); /* no read rests */
    return r;
}

int conn_ready(struct conn *c, int side)
{
    if (c->closed)
        return ERR_CLOSED;
    if (side == POLL_R && (buf_len(&c->in) > 0 || c->ended))
        return 1;
    if (c->stream.pd && c->stream.pd->lost)
        return -EBADF;
    if (c->stream.pd && c->stream.pd->side[side].deadline < 0)
        return ERR_TIMEOUT;
    c->stream.again = (uint8_t)side;
    return c->stream.ops->ready(&c->stream, side);
}

int conn_set_option(struct conn *c, const char *name, int value)
{
    if (c->closed)
        return ERR_CLOSED;
    return c->stream.fd < 0 ? -ENOTSOCK : socket_set_option(c->stream.fd, name, value);
}

int conn_get_option(struct conn *c, const char *name, int *value)
{
    if (c->closed)
        return ERR_CLOSED;
    return c->stream.fd < 0 ? -ENOTSOCK : socket_get_option(c->stream.fd, name, value);
}

void conn_check(const struct conn *c)
{
    buf_check(&c->in);
    must(c->closed ? c->stream.pd == NULL : c->stream.ops != NULL);
    for (int side = POLL_R; side <= POLL_W; side++)
        must(c->side[side].holder || list_empty(&c->side[side].queue));
}
