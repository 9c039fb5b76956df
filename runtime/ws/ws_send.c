/* SPDX-License-Identifier: MIT */
/* ws_send.c - a small frame, and each masked one, is put together in the loop's scratch memory; a large one leaves as
 * its head and its payload from where it lies. A piece that did not leave is made again: the same bytes come out.
 *
 * A message is compressed when its turn to leave has come, not when it is given: those that wait may be given up. */
#include "ws/ws_send.h"

#include "base/errors.h"
#include "base/hard.h"
#include "loop/sched.h"
#include "ws/ws_pack.h"

#include <errno.h>
#include <string.h>

enum { JOINED = 4096 }; /* bytes of a frame that are copied behind its head */
enum { OPCODE = 0x0f };

static const char *payload(const struct ws_socket *w, const struct ws_sending *s)
{
    return s->packed ? buf_at(&w->pack->packed) : s->bytes;
}

static size_t copy(char *to, const char *from, size_t from_length, size_t at, size_t n)
{
    n = at < from_length ? base_min(n, from_length - at) : 0;
    if (n > 0)
        memcpy(to, from + at, n);
    return n;
}

/* The next bytes of the frame, from op.total on, in scratch. Returns how many. */
static size_t join(struct ws_socket *w, struct task *t, const char *head)
{
    const struct ws_sending *s = OPERATION(t, struct ws_sending);
    char *to = w->c.loop->scratch;
    size_t n = copy(to, head, s->head, t->op.total, limits.scratch);
    size_t at = t->op.total + n - s->head, part = base_min(s->n - at, limits.scratch - n);
    if (t->op.total + n < s->head || part == 0)
        return n;
    if (w->keys)
        ws_frame_mask(to + n, payload(w, s) + at, part, s->key, at);
    else
        memcpy(to + n, payload(w, s) + at, part);
    return n + part;
}

/* The same; a large part of a frame that is not masked stays where it is. Returns how many places of iov. */
static int gather(struct ws_socket *w, struct task *t, struct iovec iov[2])
{
    const struct ws_sending *s = OPERATION(t, struct ws_sending);
    char head[WS_HEAD_MAX];
    (void)ws_frame_put(head, s->first, s->n, w->keys ? s->key : NULL);
    if (w->keys || t->op.length - t->op.total <= base_min(JOINED, limits.scratch)) {
        iov[0] = (struct iovec){.iov_base = w->c.loop->scratch, .iov_len = join(w, t, head)};
        return 1;
    }
    size_t n = copy(w->c.loop->scratch, head, s->head, t->op.total, limits.scratch), count = 0;
    if (n > 0)
        iov[count++] = (struct iovec){.iov_base = w->c.loop->scratch, .iov_len = n};
    if (t->op.total + n >= s->head) {
        size_t at = t->op.total + n - s->head;
        iov[count++] = (struct iovec){.iov_base = (char *)payload(w, s) + at, .iov_len = s->n - at};
    }
    return (int)count;
}

/* Without memory the compressor may have taken some of it. If that is a message of which fragments have left, no other
 * attempt can end it. */
static int compress(struct ws_socket *w, struct ws_sending *s)
{
    int r = ws_pack_deflate(w->pack, s->bytes, s->n, s->first & WS_FIN);
    if (r == 0)
        s->n = buf_len(&w->pack->packed);
    else if (w->open_message)
        ws_socket_cut(w, r);
    return r;
}

static int begin(struct ws_socket *w, struct task *t)
{
    struct ws_sending *s = OPERATION(t, struct ws_sending);
    char head[WS_HEAD_MAX];
    if (w->ending || w->sent)
        return w->ending ? w->ending : ERR_CLOSED;
    if (w->open_message != ((s->first & OPCODE) == WS_CONTINUATION))
        return -EBUSY; /* while it waited for its turn, another task has begun a message, or ended this one */
    int r = ws_socket_pump(w);
    if (r < 0)
        return r;
    r = w->keys ? ws_keys_next(w->keys, s->key) : 0;
    if (r == 0 && s->packed)
        r = compress(w, s);
    if (r < 0)
        return r;
    s->head = (uint8_t)ws_frame_put(head, s->first, s->n, w->keys ? s->key : NULL);
    t->op.length = s->head + s->n;
    s->begun = w->sending = true;
    return 0;
}

/* What has waited for the frame's end leaves, or will. */
static void go_on(struct ws_socket *w)
{
    if (ws_socket_has_more(w))
        (void)ws_socket_pump(w);
    if (w->ending)
        ws_socket_nudge(w); /* the end has waited for that, too */
}

static bool has_left(const struct task *t)
{
    return OPERATION(t, const struct ws_sending)->begun && t->op.total == t->op.length;
}

/* A slow reader is not a dead one: the time is that of each piece. */
static void renew(const struct ws_socket *w, struct task *t)
{
    if (w->limits.sending > 0)
        t->op.deadline = clock_add(clock_now(&w->c.loop->clock), w->limits.sending);
}

static int step(struct conn *c, struct task *t)
{
    struct ws_socket *w = ws_socket_of(c);
    struct iovec iov[2];
    int r = OPERATION(t, struct ws_sending)->begun ? 0 : begin(w, t);
    if (r < 0)
        return r;
    int count = gather(w, t, iov);
    ssize_t n = c->stream.ops->write(&c->stream, iov, count);
    if (n < 0)
        return (int)n;
    t->op.total += (size_t)n;
    if (t->op.total < t->op.length) {
        renew(w, t);
        return CONN_GO_ON;
    }
    w->sending = false;
    w->open_message = !(OPERATION(t, struct ws_sending)->first & WS_FIN);
    go_on(w);
    return 0;
}

/* Waits while the peer leaves those before it unread. */
static int step_ping(struct conn *c, struct task *t)
{
    struct ws_socket *w = ws_socket_of(c);
    const struct ws_pinging *p = OPERATION(t, struct ws_pinging);
    int r = w->ending || !ws_socket_is_full(w) ? 0 : ws_socket_pump(w);
    if (r == -EAGAIN && !ws_socket_is_full(w))
        r = 0;
    return r < 0 ? r : ws_socket_control(w, WS_PING, p->bytes, p->n);
}

#define OP(name_, step_)                                                                              \
    {.kind = {.name = name_, .attempt = conn_attempt, .push = conn_push, .undo = conn_undo,           \
              .deadline = conn_deadline, .describe = ws_socket_describe},                             \
     .side = POLL_W, .step = step_}

const struct conn_op ws_send = OP("send", step);
const struct conn_op ws_ping = OP("ping", step_ping);

void ws_send_prepare(struct ws_socket *w, struct task *t, enum ws_opcode opcode, const char *bytes, size_t n,
                     bool last)
{
    struct ws_sending *s = OPERATION(t, struct ws_sending);
    bool packed = w->pack && (opcode == WS_CONTINUATION ? w->pack->open : n >= w->pack->agreed.least);
    *s = (struct ws_sending){.bytes = bytes, .n = n, .packed = packed};
    s->first = (uint8_t)(opcode | (last ? WS_FIN : 0) | (packed && opcode != WS_CONTINUATION ? WS_PACKED : 0));
    t->op.length = n;
    t->op.total = 0;
}

int ws_send_ended(struct task *t)
{
    struct ws_socket *w = ws_socket_of(t->wait.object);
    struct ws_sending *s = OPERATION(t, struct ws_sending);
    int r = has_left(t) ? 0 : t->wait.result;
    if (s->begun && s->packed && w->pack)
        ws_pack_sent(w->pack, r >= 0);
    if (s->begun && r < 0) {
        w->sending = false;
        if (w->open_message || t->op.total > 0)
            ws_socket_cut(w, r);
        else
            go_on(w);
    }
    t->wait.result = r;
    s->begun = s->packed = false;
    return r >= 0 ? 0 : w->ending ? w->ending : r;
}
