/* SPDX-License-Identifier: MIT */
/* ws_socket.c - control frames are written from `out` by whoever comes by: the call that queued them, a send before and
 * after its frame, the reader. What is left then leaves once the poller says that there is room. */
#include "ws/ws_socket.h"

#include "base/errors.h"
#include "base/sys.h"
#include "ws/ws_pack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 16 }; /* messages of a queue that leave with one call */

void ws_socket_nudge(struct ws_socket *w)
{
    if (w->c.closed)
        return;
    if (w->c.side[POLL_R].holder)
        netpoll_report(w->c.stream.pd, POLL_R);
    else
        ws_socket_look_after(w);
}

/* ---- time ---- */

/* Something outside can wake the reader: that counts. */
static void count_timer(struct ws_socket *w, bool armed)
{
    if (w->timed != armed)
        w->c.loop->sched.outside += armed ? 1 : (uint32_t)-1;
    w->timed = armed;
}

/* No memory for the timer: no ping. */
static void set_timer(struct ws_socket *w, int64_t length)
{
    struct loop *l = w->c.loop;
    w->heard = false;
    count_timer(w, timers_set(&l->timers, &w->timer, clock_add(loop_now(l), length)) == 0);
}

static void stop_timer(struct ws_socket *w)
{
    timers_del(&w->c.loop->timers, &w->timer);
    count_timer(w, false);
}

/* ---- what leaves ---- */

static void tell_groups(struct ws_socket *w, bool over)
{
    for (struct list *l = w->memberships.next, *next; l != &w->memberships; l = next) {
        next = l->next;
        struct ws_member *m = container_of(l, struct ws_member, in_socket);
        m->changed(m, over);
    }
}

ssize_t ws_socket_write(struct ws_socket *w, const struct iovec *iov, int count)
{
    struct stream *s = &w->c.stream;
    s->taken = w->held;
    ssize_t n = s->ops->write(s, iov, count);
    w->held = s->taken;
    s->taken = 0;
    return n;
}

static ssize_t write_out(struct ws_socket *w)
{
    size_t length = w->begun ? w->begun : buf_len(&w->out);
    struct iovec iov = {.iov_base = (char *)buf_at(&w->out), .iov_len = length};
    ssize_t n = ws_socket_write(w, &iov, 1);
    if (n > 0) {
        buf_consume(&w->out, (size_t)n);
        length -= (size_t)n;
    }
    if (n > 0 || w->held > 0)
        w->begun = length;
    return n;
}

/* What is compressed alone refers to nothing; but what follows would count from where it does not know. */
static ssize_t write_queue(struct ws_socket *w)
{
    struct iovec iov[AT_ONCE];
    bool packed = false;
    int count = ws_queue_gather(&w->queue, iov, AT_ONCE, &packed);
    ssize_t n = ws_socket_write(w, iov, count);
    if (packed && w->pack)
        w->pack->skewed = true;
    if (n > 0) {
        ws_queue_left(&w->queue, (size_t)n);
        tell_groups(w, false);
    }
    return n;
}

/* A frame that has left in part goes on; control frames go before messages; but a close frame after them. */
static bool queue_is_next(const struct ws_socket *w)
{
    if (w->begun > 0 || ws_queue_is_empty(&w->queue) || w->open_message)
        return false;
    return w->queue.at > 0 || w->held > 0 || w->sent || buf_len(&w->out) == 0;
}

int ws_socket_pump(struct ws_socket *w)
{
    if (w->mute || w->c.closed)
        return w->mute ? w->mute : ERR_CLOSED;
    if (!ws_socket_has_more(w))
        return 0;
    if (w->sending)
        return -EBUSY;
    while (ws_socket_has_more(w)) {
        ssize_t n = queue_is_next(w) ? write_queue(w) : write_out(w);
        if (n == -EAGAIN) {
            netpoll_arm(w->c.stream.pd, w->c.stream.again);
            return -EAGAIN;
        }
        if (n < 0) {
            w->mute = (int)n;
            w->begun = w->held = 0;
            buf_fini(&w->out);
            ws_queue_fini(&w->queue);
            tell_groups(w, false);
            return (int)n;
        }
    }
    buf_release(&w->out);
    return 0;
}

/* Appends a control frame to `out`. */
static int put(struct ws_socket *w, unsigned opcode, const char *bytes, size_t n)
{
    char frame[WS_HEAD_MAX + WS_CONTROL_MAX];
    uint8_t key[WS_KEY];
    int r = w->keys ? ws_keys_next(w->keys, key) : 0;
    if (r < 0)
        return r;
    must(n <= WS_CONTROL_MAX);
    size_t head = ws_frame_put(frame, WS_FIN | opcode, n, w->keys ? key : NULL);
    if (w->keys)
        ws_frame_mask(frame + head, bytes, n, key, 0);
    else if (n > 0)
        memcpy(frame + head, bytes, n);
    return buf_append(&w->out, frame, head + n);
}

/* May anything but a data frame's rest still be sent? */
static int sendable(const struct ws_socket *w)
{
    if (w->ending || w->c.closed)
        return w->ending ? w->ending : ERR_CLOSED;
    return w->sent ? ERR_CLOSED : w->mute;
}

static int leave(struct ws_socket *w)
{
    int r = ws_socket_pump(w);
    return r == -EAGAIN || r == -EBUSY ? 0 : r;
}

int ws_socket_control(struct ws_socket *w, enum ws_opcode opcode, const char *bytes, size_t n)
{
    int r = sendable(w);
    if (r < 0)
        return r;
    if (opcode == WS_PONG && ws_socket_is_full(w))
        return 0; /* the peer does not read them */
    r = put(w, opcode, bytes, n);
    return r < 0 ? r : leave(w);
}

int ws_socket_close(struct ws_socket *w, unsigned code, const char *reason, size_t n)
{
    char payload[WS_CONTROL_MAX];
    if (w->sent)
        return 0;
    int r = sendable(w);
    if (r < 0)
        return r;
    must(n <= WS_REASON_MAX);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (n > 0)
        memcpy(payload + 2, reason, n);
    r = put(w, WS_CLOSE, payload, code ? 2 + n : 0);
    if (r < 0)
        return r;
    w->sent = (uint16_t)(code ? code : WS_NO_CODE);
    stop_timer(w);
    return leave(w);
}

/* ---- pings ---- */

/* While a message waits for a task that receives, an answer behind it would not be seen: the peer cannot be blamed. */
static bool would_hear(const struct ws_socket *w)
{
    return w->c.side[POLL_R].holder || (buf_len(&w->c.in) == 0 && w->stage == WS_AT_HEAD);
}

static void on_timer(struct timer *timer)
{
    struct ws_socket *w = container_of(timer, struct ws_socket, timer);
    if (w->leaving) {
        count_timer(w, false);
        ws_socket_shut(w);
    } else if (w->heard || !would_hear(w)) {
        w->pinged = false;
        set_timer(w, w->limits.ping);
    } else if (!w->pinged) {
        w->pinged = ws_socket_control(w, WS_PING, "", 0) == 0;
        set_timer(w, w->pinged && w->limits.pong > 0 ? w->limits.pong : w->limits.ping);
    } else if (w->limits.pong > 0) {
        ws_socket_cut(w, ERR_TIMEOUT);
    } else {
        set_timer(w, w->limits.ping); /* it may take any time */
    }
}

void ws_socket_leave_by_time(struct ws_socket *w)
{
    if (w->leaving || w->limits.closing == 0)
        return;
    w->leaving = true;
    set_timer(w, w->limits.closing);
    if (!w->timed)
        ws_socket_shut(w);
}

/* ---- beginning and end ---- */

void ws_socket_init(struct ws_socket *w, struct loop *loop)
{
    conn_init(&w->c, loop);
    ws_queue_init(&w->queue);
    list_init(&w->memberships);
    list_init(&w->late.link);
    w->timer.fire = on_timer;
}

static void end(struct ws_socket *w)
{
    stop_timer(w);
    tell_groups(w, true);
    buf_fini(&w->out);
    ws_queue_fini(&w->queue);
    if (w->pack)
        ws_pack_free(w->pack);
    w->pack = NULL;
}

/* By us, by a test's end, or for lack of memory. A push may be at work on the message: then its end does the rest; or,
 * if it has raised, ws_idle. */
static void on_closed(struct conn *c)
{
    struct ws_socket *w = ws_socket_of(c);
    stop_timer(w);
    if (!c->pinned)
        end(w);
    else
        ws_socket_look_after(w);
}

void ws_socket_unpin(struct ws_socket *w)
{
    w->c.pinned = false;
    if (!w->c.closed)
        return;
    buf_fini(&w->c.in);
    end(w);
}

static const struct conn_owner owner = {.check = ws_socket_check, .closed = on_closed};

int ws_socket_open(struct ws_socket *w, struct conn *from, const struct ws_limits *most, struct ws_keys *keys)
{
    if (from->closed)
        return ERR_CLOSED;
    if (from->side[POLL_R].holder || from->side[POLL_W].holder || from->pinned)
        return -EBUSY;
    struct pollDesc *pd;
    int r = conn_poll(from, &pd);
    if (r < 0)
        return r;
    w->limits = *most;
    w->keys = keys;
    conn_move(&w->c, from);
    w->c.owner = &owner;
    w->c.lasting = true;
    if (most->ping > 0)
        set_timer(w, most->ping);
    (void)leave(w);
    return 0;
}

void ws_socket_shut(struct ws_socket *w) { conn_close(&w->c); }

void ws_socket_cut(struct ws_socket *w, int why)
{
    if (w->c.closed)
        return;
    w->ending = w->ending ? w->ending : why;
    w->got = w->got ? w->got : WS_CUT;
    ws_socket_shut(w);
}

void ws_socket_fini(struct ws_socket *w)
{
    conn_fini(&w->c);
    end(w);
    list_del(&w->late.link);
    sys_free(w->reason);
    w->reason = NULL;
}

void ws_socket_describe(const struct task *t, char *text, size_t n)
{
    int at = snprintf(text, n, "websocket ");
    conn_describe(t->wait.object, text + at, n - (size_t)at);
}

void ws_socket_check(const struct conn *c)
{
    const struct ws_socket *w = container_of(c, struct ws_socket, c);
    buf_check(&w->out);
    must(w->begun <= buf_len(&w->out) || c->closed);
    must(w->held == 0 || ws_socket_has_more(w) || c->closed);
    must(w->done + w->gap <= buf_len(&c->in) || c->closed);
    must(w->done == 0 || !w->packed);
    must(w->gap == 0 || w->done > 0);
    must(w->kind || w->stage == WS_AT_HEAD);
    must(!w->sending || w->c.side[POLL_W].holder);
}
