/* SPDX-License-Identifier: MIT */
/* ws_receive.c - frames are unmasked where they lie in the connection's buffer, and moved together if heads or control
 * frames came between: so a message in one frame is handed out from where it was received. Text is checked as it comes.
 *
 * A compressed message is inflated as it comes, and never lies in the connection's buffer as a whole. */
#include "ws/ws_receive.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "net/conn_read.h"
#include "ws/ws_pack.h"

#include <errno.h>
#include <string.h>

enum { TOO_BIG = 1009, BAD_TEXT = 1007, BAD_FRAME = 1002, TOO_BUSY = 1008 };
enum { ROOM = 65536, INFLATED_AT_ONCE = 16384, OPCODE = 0x0f };

/* A byte that is compressed and flushed alone takes up to EXPANDS bytes. A peer that sends more, and the slack, sends
 * blocks of nothing: such a message would never reach its limit. */
enum { EXPANDS = 8, SLACK = 65536 };

/* What was not looked at yet. */
static char *raw(const struct ws_socket *w) { return w->c.in.bytes + w->c.in.start + w->done + w->gap; }
static size_t raw_length(const struct ws_socket *w) { return buf_len(&w->c.in) - w->done - w->gap; }

static void skip(struct ws_socket *w, size_t n)
{
    if (w->done > 0)
        w->gap += n;
    else
        buf_consume(&w->c.in, n);
}

/* The peer breaks the rules: the code says which. */
static int refuse(struct ws_socket *w, unsigned code, int why)
{
    (void)ws_socket_close(w, code, NULL, 0); /* if it cannot be sent, the cut says it */
    w->lingers = true;
    w->ending = why;
    return why;
}

/* ---- control frames ---- */

static bool is_too_busy(struct ws_socket *w)
{
    int64_t second = w->c.loop->sched.now / NS_PER_SECOND;
    if (second != w->second)
        w->controls = 0;
    w->second = second;
    return w->limits.controls > 0 && ++w->controls > w->limits.controls;
}

static void keep_reason(struct ws_socket *w, const char *bytes, size_t n)
{
    w->reason = n > 0 ? sys_alloc(n) : NULL; /* no memory: no reason */
    if (w->reason)
        memcpy(w->reason, bytes, n);
    w->reason_length = w->reason ? (uint8_t)n : 0;
}

/* A server closes at once after that, a client waits for its server to do so (RFC 6455 7.1.1). */
static int take_close(struct ws_socket *w, const char *payload, size_t n)
{
    struct ws_utf8 text = {0};
    unsigned code = n < 2 ? WS_NO_CODE : (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
    if (n == 1 || (n > 1 && !ws_frame_is_code(code)))
        return refuse(w, BAD_FRAME, ERR_MALFORMED);
    if (n > 2 && (!ws_utf8_take(&text, payload + 2, n - 2) || !ws_utf8_is_whole(&text)))
        return refuse(w, BAD_TEXT, ERR_MALFORMED);
    bool first = w->sent == 0;
    w->got = (uint16_t)code;
    if (n > 2)
        keep_reason(w, payload + 2, n - 2);
    (void)ws_socket_close(w, n < 2 ? 0 : code, NULL, 0);
    w->lingers = w->keys != NULL;
    w->ending = first ? ERR_EOF : ERR_CLOSED;
    return w->ending;
}

/* Returns 1: it was taken; 0: it has not all come; or why it is over. */
static int take_control(struct ws_socket *w, const struct ws_head *h, size_t head)
{
    char payload[WS_CONTROL_MAX];
    size_t n = (size_t)h->length;
    if (raw_length(w) < head + n)
        return 0;
    if (h->masked)
        ws_frame_mask(payload, raw(w) + head, n, h->key, 0);
    else
        memcpy(payload, raw(w) + head, n);
    skip(w, head + n);
    if (h->opcode == WS_CLOSE)
        return take_close(w, payload, n);
    if (is_too_busy(w))
        return refuse(w, TOO_BUSY, ERR_MALFORMED);
    int r = h->opcode == WS_PING ? ws_socket_control(w, WS_PONG, payload, n) : 0;
    return r == -ENOMEM ? r : 1; /* if it cannot be sent, the reads say why */
}

/* ---- data frames ---- */

/* Does the frame follow from those before it? */
static bool follows(const struct ws_socket *w, const struct ws_head *h)
{
    if (h->opcode == WS_CONTINUATION)
        return w->kind != 0 && !h->packed;
    return w->kind == 0 && (!h->packed || w->pack);
}

static void begin(struct ws_socket *w, const struct ws_head *h)
{
    if (h->opcode != WS_CONTINUATION) {
        w->kind = h->opcode;
        w->packed = h->packed;
        w->total = 0;
        w->utf8 = (struct ws_utf8){0};
        if (h->packed)
            w->pack->came = 0;
    }
    w->fin = h->fin;
    w->left = h->length;
    w->taken = 0;
    if (h->masked)
        memcpy(w->key, h->key, WS_KEY);
    w->stage = WS_IN_PAYLOAD;
}

/* Returns as take_control. */
static int take_head(struct ws_socket *w)
{
    struct ws_head h;
    int r = ws_frame_parse(&h, raw(w), raw_length(w));
    if (r == 0)
        return 0;
    if (r < 0 || h.masked != !w->keys)
        return refuse(w, BAD_FRAME, ERR_MALFORMED);
    if (ws_frame_is_control(h.opcode))
        return take_control(w, &h, (size_t)r);
    if (!follows(w, &h))
        return refuse(w, BAD_FRAME, ERR_MALFORMED);
    if (h.length > w->limits.frame || (!h.packed && !(w->kind && w->packed) &&
                                       h.length > w->limits.message - (w->kind ? w->total : 0)))
        return refuse(w, TOO_BIG, ERR_TOO_LONG);
    if (h.length == 0 && !h.fin && is_too_busy(w))
        return refuse(w, TOO_BUSY, ERR_MALFORMED);
    skip(w, (size_t)r);
    begin(w, &h);
    return 1;
}

static int check_text(struct ws_socket *w, const char *bytes, size_t n)
{
    if (w->kind == WS_TEXT && !ws_utf8_take(&w->utf8, bytes, n))
        return refuse(w, BAD_TEXT, ERR_MALFORMED);
    return 0;
}

static int take_plain(struct ws_socket *w, size_t n)
{
    char *to = w->c.in.bytes + w->c.in.start + w->done;
    if (!w->keys)
        ws_frame_mask(to, raw(w), n, w->key, w->taken);
    else if (w->gap > 0)
        memmove(to, raw(w), n);
    w->done += n;
    w->total += n;
    return check_text(w, to, n);
}

/* r: of ws_pack; `before` bytes of the message had come out earlier. No memory: what was inflated is lost, and so is
 * the rest. */
static int inflated(struct ws_socket *w, int r, size_t before)
{
    struct buf *m = &w->pack->message;
    if (r == ERR_TOO_LONG)
        return refuse(w, TOO_BIG, r);
    if (r == ERR_MALFORMED)
        return refuse(w, BAD_TEXT, r);
    if (r < 0)
        return refuse(w, 1011, r);
    size_t n = buf_len(m) - before;
    w->total += n;
    return n > 0 ? check_text(w, buf_at(m) + before, n) : 0;
}

/* How much of the message may still come. Pieces that were handed out count. */
static uint64_t most(const struct ws_socket *w)
{
    size_t held = buf_len(&w->pack->message);
    return w->limits.message - (w->total - held);
}

static int take_packed(struct ws_socket *w, size_t n)
{
    size_t before = buf_len(&w->pack->message);
    n = base_min(n, INFLATED_AT_ONCE);
    w->pack->came += n;
    if (w->pack->came > SLACK && (w->pack->came - SLACK) / EXPANDS > w->limits.message)
        return refuse(w, TOO_BIG, ERR_TOO_LONG);
    if (!w->keys)
        ws_frame_mask(raw(w), raw(w), n, w->key, w->taken);
    int r = ws_pack_inflate(w->pack, raw(w), n, most(w));
    buf_consume(&w->c.in, n);
    w->left -= n;
    w->taken += n;
    return inflated(w, r, before);
}

/* Takes what has come of the frame's payload. Returns 0, or why it is over. */
static int take_payload(struct ws_socket *w)
{
    size_t n = (size_t)(w->left < raw_length(w) ? w->left : raw_length(w));
    int r = 0;
    if (!w->packed) {
        r = n > 0 ? take_plain(w, n) : 0;
        w->left -= n;
        w->taken += n;
    }
    while (w->packed && r == 0 && w->left > 0 && raw_length(w) > 0)
        r = take_packed(w, (size_t)(w->left < raw_length(w) ? w->left : raw_length(w)));
    return r;
}

/* All of the message has come. */
static int complete(struct ws_socket *w)
{
    int r = 0;
    if (w->packed) {
        size_t before = buf_len(&w->pack->message);
        r = inflated(w, ws_pack_end(w->pack, most(w)), before);
    }
    if (r < 0)
        return r;
    if (w->kind == WS_TEXT && !ws_utf8_is_whole(&w->utf8))
        return refuse(w, BAD_TEXT, ERR_MALFORMED);
    w->stage = WS_AT_END;
    return 0;
}

/* ---- the operations ---- */

static size_t length(const struct ws_socket *w) { return w->packed ? buf_len(&w->pack->message) : w->done; }

/* Looks at what has come. Returns 1: there is something to hand out; 0: more must come; or why it is over. */
static int look(struct ws_socket *w, bool whole)
{
    for (;;) {
        int r = 0;
        if (w->stage == WS_AT_END)
            return 1;
        if (w->stage == WS_AT_HEAD) {
            r = take_head(w);
            if (r == 0)
                break;
        } else {
            r = take_payload(w);
            if (r == 0 && w->left > 0)
                break;
            w->stage = WS_AT_HEAD;
            if (r == 0 && w->fin)
                r = complete(w);
        }
        if (r < 0)
            return r;
    }
    return !whole && w->kind && length(w) > 0;
}

/* Room for many small messages; for the rest of a large one, but no more than four times what has come of it. */
static size_t room(const struct ws_socket *w)
{
    size_t held = buf_len(&w->c.in), least = 4 * limits.buffer;
    if (w->stage == WS_AT_HEAD || w->left < least)
        return held > 0 ? limits.buffer : least;
    uint64_t more = w->left + WS_HEAD_MAX;
    size_t bound = held > ROOM / 2 ? 2 * held : ROOM;
    return more < bound ? (size_t)more : bound;
}

static int more(struct ws_socket *w)
{
    struct buf *in = &w->c.in;
    if (w->gap > 0 && raw_length(w) == 0) {
        in->end -= w->gap;
        w->gap = 0;
    }
    int r = conn_read_fill(&w->c, room(w));
    w->heard |= r == CONN_GO_ON;
    if (r == ERR_EOF)
        r = ERR_UNEXPECTED_EOF;
    if (r < 0 && r != -EAGAIN && r != -ENOMEM)
        ws_socket_cut(w, r);
    return r;
}

int ws_receive_leave(struct ws_socket *w)
{
    struct conn *c = &w->c;
    int r = ws_socket_pump(w);
    if (r == -EAGAIN || r == -EBUSY) {
        c->stream.again = r == -EAGAIN ? POLL_W : POLL_R;
        return -EAGAIN;
    }
    if (w->lingers && r == 0 && !c->ended) {
        if (!w->shut && w->ending != ERR_EOF && w->ending != ERR_CLOSED)
            (void)conn_close_write(c);
        w->shut = true;
        ssize_t got = conn_receive(c, c->loop->scratch, limits.scratch);
        if (got > 0 || got == -EAGAIN)
            return got > 0 ? CONN_GO_ON : -EAGAIN;
    }
    ws_socket_shut(w);
    return 0;
}

/* The end's last steps: our close frame leaves; the peer closes, or its time is up. */
static int leave(struct ws_socket *w, struct task *t)
{
    struct ws_receiving *p = OPERATION(t, struct ws_receiving);
    if (!p->leaving && w->limits.closing > 0)
        t->op.deadline = clock_add(clock_now(&w->c.loop->clock), w->limits.closing);
    p->leaving = true;
    int r = ws_receive_leave(w);
    return r == 0 ? w->ending : r;
}

static bool is_data_next(const struct ws_socket *w)
{
    return w->stage != WS_AT_HEAD || (raw_length(w) > 0 && !ws_frame_is_control(raw(w)[0] & OPCODE));
}

int ws_receive_controls(struct ws_socket *w)
{
    int r = 1;
    while (r == 1 && !is_data_next(w))
        r = take_head(w);
    if (r != 0)
        return r;
    r = more(w);
    return r == CONN_GO_ON ? 0 : r;
}

static int step(struct conn *c, struct task *t, bool whole, bool drop)
{
    struct ws_socket *w = ws_socket_of(c);
    if (w->ending)
        return leave(w, t);
    if (ws_socket_has_more(w))
        (void)ws_socket_pump(w);
    int r = look(w, whole);
    if (r == 1 && drop) {
        ws_receive_handed(w);
        return CONN_GO_ON;
    }
    if (r == 1) {
        t->op.length = length(w);
        return 0;
    }
    if (r < 0)
        return w->ending ? CONN_GO_ON : r;
    r = more(w);
    return r == CONN_GO_ON && w->packed && raw_length(w) >= INFLATED_AT_ONCE ? CONN_OTHERS : r;
}

static int step_whole(struct conn *c, struct task *t) { return step(c, t, true, false); }
static int step_some(struct conn *c, struct task *t) { return step(c, t, false, false); }
static int step_end(struct conn *c, struct task *t) { return step(c, t, false, true); }

#define OP(name_, step_)                                                                              \
    {.kind = {.name = name_, .attempt = conn_attempt, .push = conn_push, .undo = conn_undo,           \
              .deadline = conn_deadline, .describe = ws_socket_describe},                             \
     .side = POLL_R, .step = step_}

const struct conn_op ws_receive = OP("receive", step_whole);
const struct conn_op ws_receive_some = OP("receive", step_some);
const struct conn_op ws_receive_end = OP("close", step_end);

const char *ws_receive_bytes(const struct ws_socket *w)
{
    if (length(w) == 0)
        return "";
    return w->packed ? buf_at(&w->pack->message) : buf_at(&w->c.in);
}

void ws_receive_handed(struct ws_socket *w)
{
    if (w->packed)
        ws_pack_handed(w->pack);
    else
        buf_consume(&w->c.in, w->done + w->gap);
    w->done = w->gap = 0;
    if (w->stage == WS_AT_END) {
        w->stage = WS_AT_HEAD;
        w->kind = 0;
        w->packed = false;
    }
    if (buf_len(&w->c.in) > 0 || !w->c.drained)
        ws_socket_look_after(w); /* the task may have other things to do than to receive again */
    else if (!w->c.closed)
        netpoll_arm(w->c.stream.pd, POLL_R);
}

int ws_receive_failed(struct task *t)
{
    struct ws_socket *w = ws_socket_of(t->wait.object);
    if (w->ending && !w->c.closed && OPERATION(t, struct ws_receiving)->leaving)
        ws_socket_shut(w); /* its time was up, or nobody waits for it any more */
    return w->ending ? w->ending : t->wait.result;
}
