/* SPDX-License-Identifier: MIT */
/* h1_exchange.c - h1_frame writes a response into `out`. Requests follow one another on a connection, which the
 * exchange hands back when it has responded. */
#include "http/h1_exchange.h"

#include "base/errors.h"
#include "http/h1_frame.h"
#include "http/http_status.h"

#include <errno.h>
#include <stdio.h>

enum { FLUSH_AT = 65536, KEPT_BUFFER = 16384 };

/* ---- the client ---- */

/* A hangup was reported. The client has left if its end is the next thing to come; or, whatever comes before, if both
 * halves are gone, as after a reset. */
static void note_end(struct http_exchange *x)
{
    struct conn *c = &x->conn->c;
    bool is_next = x->spoilt || (x->body.over && buf_len(&c->in) == 0);
    if (!x->gone && ((is_next && stream_has_ended(&c->stream)) || stream_has_lost(&c->stream)))
        exchange_lose(x);
}

/* Sees an end that has come already, too. */
static void watch(struct http_exchange *x)
{
    if (x->conn->c.stream.pd->hangup)
        note_end(x);
    else
        netpoll_arm_hangup(x->conn->c.stream.pd);
}

void h1_exchange_hear(struct http_exchange *x, uint32_t events)
{
    if (events & POLLER_HANGUP)
        note_end(x);
    else if (events & POLLER_READ)
        netpoll_arm_hangup(x->conn->c.stream.pd);
    uint32_t either = x->conn->c.stream.ops->covers ? POLLER_READ | POLLER_WRITE : POLLER_WRITE;
    if (events & either && buf_len(&x->out) > 0)
        exchange_push(x);
}

/* ---- a response ---- */

static int begin(struct http_exchange *x, int status, int64_t length, const char *date)
{
    return h1_begin_response(&x->framing, &x->peer, &x->out, status, length, date);
}

static int interim(struct http_exchange *x, int status)
{
    char text[96];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", status, http_status_reason(status));
    return buf_append(&x->out, text, (size_t)n);
}

static int field(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n)
{
    return h1_add_field(&x->out, name, name_length, value, n);
}

static int end_head(struct http_exchange *x) { return h1_end_head(&x->out); }

static int data(struct http_exchange *x, size_t n, struct exchange_piece *piece)
{
    int r = h1_before_data(&x->framing, &x->out, n, &piece->muted);
    piece->after = h1_after_data(&x->framing, n);
    return r;
}

static void whole(struct http_exchange *x, size_t n)
{
    x->framing.phase = HTTP_SENT;
    x->framing.left = 0;
    x->framing.total = x->framing.mute ? 0 : n;
}

static int finish(struct http_exchange *x) { return h1_finish(&x->framing, &x->out); }

/* ---- one request after another ---- */

int h1_exchange_open(struct http_exchange *x, struct http_conn *hc, const char *bytes, size_t length)
{
    const struct http_limits *most = &hc->server->limits;
    if (exchange_open(x, &h1_exchange_wire, hc, bytes, length) < 0)
        return -ENOMEM;
    h1_request_body(&x->body, &x->head);
    h1_peer_of(&x->peer, &x->head, bytes);
    hc->searched = 0;
    x->peer.keep_alive &= !hc->server->closing && http_limits_another(most, hc->requests);
    return 0;
}

/* Does not ask whether the body was read to its end. */
static bool goes_on(const struct http_exchange *x)
{
    return x->framing.phase == HTTP_SENT && x->framing.keep_alive && !x->gone && !x->failure && !x->server->closing &&
           !x->body.held && !x->conn->c.closed && !http_conn_in_use(x->conn);
}

/* x takes no next request: its spans are of bytes that it does not hold, and a description must not look there. */
static bool forget_head(struct http_exchange *x)
{
    x->head.method = x->head.target = (struct http_span){0};
    return false;
}

static bool next(struct http_exchange *x)
{
    struct http_conn *hc = x->conn;
    struct buf *in = &hc->c.in;
    const struct http_limits *most = &x->server->limits;
    if (buf_len(in) == 0 || !x->body.over || buf_len(&x->out) >= FLUSH_AT || !goes_on(x))
        return false;
    int length = h1_parse_request(&x->head, buf_at(in), base_min(buf_len(in), most->head));
    if (length <= 0 || http_limits_refusal(most, &x->head) > 0)
        return forget_head(x); /* the slow path: `out` is sent first, then these bytes are read again */
    buf_fini(&x->trailer);
    if (h1_exchange_open(x, hc, buf_at(in), (size_t)length) < 0)
        return forget_head(x);
    buf_consume(in, (size_t)length);
    watch(x);
    return true;
}

/* If the response ends with the connection, an early end must not look like a whole response. */
static void sever(struct http_exchange *x)
{
    bool looks_whole = x->framing.phase != HTTP_UNSENT && x->framing.framing == HTTP_BY_END;
    struct http_conn *hc = exchange_close(x);
    if (looks_whole && !hc->c.closed)
        stream_will_reset(&hc->c.stream);
    http_conn_close(hc);
}

static void keep_small(struct buf *b)
{
    if (b->capacity > KEPT_BUFFER)
        buf_fini(b);
}

static void release(struct http_exchange *x)
{
    if (x->failure && !x->conn->c.closed)
        (void)exchange_flush(x); /* earlier responses */
    bool answered = x->framing.phase == HTTP_SENT && !x->failure && buf_len(&x->out) == 0 && !x->conn->c.closed &&
                    !http_conn_in_use(x->conn);
    if (answered && goes_on(x) && x->body.over)
        http_conn_go_idle(exchange_close(x));
    else if (answered)
        http_conn_leave(exchange_close(x));
    else
        sever(x);
    keep_small(&x->out);
    keep_small(&x->bytes);
}

static void hijack(struct http_exchange *x, struct conn *to)
{
    struct http_conn *hc = x->conn;
    netpoll_notify(hc->c.stream.pd, NULL, NULL);
    conn_move(to, &hc->c);
    http_conn_close(exchange_close(x));
    buf_fini(&x->bytes); /* its worker may have the connection for hours */
    buf_fini(&x->out);
}

const struct exchange_wire h1_exchange_wire = {
    .name = "http/1",
    .begin = begin,
    .interim = interim,
    .field = field,
    .end_head = end_head,
    .data = data,
    .whole = whole,
    .finish = finish,
    .watch = watch,
    .goes_on = goes_on,
    .next = next,
    .release = release,
    .sever = sever,
    .hijack = hijack,
};
