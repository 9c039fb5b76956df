/* SPDX-License-Identifier: MIT */
/* http_body.c - the body of a request or a response is decoded in place, in `in`. What a step finds is consumed after
 * it was handed out. */
#include "http/http_body.h"

#include "base/errors.h"
#include "http/h1_frame.h"
#include "base/hard.h"
#include "http/exchange.h"
#include "http/h1_fold.h"
#include "http/http_client.h"
#include "loop/sched.h"
#include "net/conn_read.h"
#include "net/conn_time.h"

#include <errno.h>

/* What the connection's end means inside of a body: its own end, or that it was cut off. */
static int more(struct conn *c, struct http_body *b)
{
    uint64_t left = b->framing == HTTP_BY_CHUNKS ? b->chunks.left : b->left;
    if (left > 0)
        (void)buf_reserve(&c->in, base_min(left, limits.scratch)); /* fewer and larger reads; none: smaller ones */
    int r = conn_read_fill(c, 1);
    if (r != ERR_EOF)
        return r;
    b->over = b->framing == HTTP_BY_END;
    return b->over ? ERR_EOF : ERR_UNEXPECTED_EOF;
}

static int take_trailer(struct conn *c, struct http_body *b, struct buf *trailer)
{
    size_t n = base_min(buf_len(&c->in), HTTP_TRAILERS_MAX);
    int got = b->folds ? h1_fold_trailers(c->in.bytes + c->in.start, n) : h1_parse_trailers(buf_at(&c->in), n);
    if (got == HTTP_INCOMPLETE)
        return buf_len(&c->in) >= HTTP_TRAILERS_MAX ? ERR_TOO_LONG : more(c, b);
    if (got < 0)
        return ERR_MALFORMED;
    if (got > 2 && buf_append(trailer, buf_at(&c->in), (size_t)got) < 0)
        return -ENOMEM;
    buf_consume(&c->in, (size_t)got);
    h1_trailer_taken(b);
    return CONN_GO_ON;
}

/* A failure of the peer or the connection stays: later reads return it too. A wait that was ended, or had no memory,
 * may be repeated, because nothing was lost. */
static int remember(struct http_body *b, int r)
{
    bool systems = r < 0 && errors_errno(r) && r != -EAGAIN && r != -ENOMEM;
    if (systems || r == ERR_MALFORMED || r == ERR_UNEXPECTED_EOF)
        b->failure = r;
    return r;
}

static int take_some(struct conn *c, struct task *t, struct http_body *b, struct buf *trailer, size_t most,
                     uint64_t limit)
{
    struct http_span data;
    size_t used;
    if (b->failure)
        return b->failure;
    if (b->total > limit)
        return ERR_TOO_LONG;
    if (b->held)
        return -ENOMEM; /* the last bytes were never handed out: the body has a gap */
    int step = h1_take(b, buf_at(&c->in), base_min(buf_len(&c->in), most), &used, &data);
    switch (step) {
    case HTTP_BYTES:
        buf_consume(&c->in, data.at);
        t->op.length = data.length;
        t->op.total = used - data.at;
        b->held = true;
        return b->total > limit ? ERR_TOO_LONG : 0;
    case HTTP_NEED:
        buf_consume(&c->in, used);
        return buf_len(&c->in) > 0 ? CONN_GO_ON : more(c, b);
    case HTTP_TRAILER_NEXT:
        buf_consume(&c->in, used);
        return take_trailer(c, b, trailer);
    case HTTP_OVER:
        return ERR_EOF;
    default:
        return ERR_MALFORMED;
    }
}

static int take_whole(struct conn *c, struct task *t, struct http_body *b, size_t most, uint64_t limit)
{
    struct http_span data;
    must(b->framing == HTTP_BY_LENGTH);
    if (b->failure)
        return b->failure;
    if (b->held)
        return -ENOMEM;
    if (b->left > most || b->left > limit)
        return ERR_TOO_LONG;
    if (buf_len(&c->in) < b->left)
        return more(c, b);
    (void)h1_take(b, buf_at(&c->in), buf_len(&c->in), &t->op.total, &data);
    t->op.length = t->op.total;
    b->held = true;
    return 0;
}

static int read_body(struct conn *c, struct task *t)
{
    struct http_exchange *x = http_conn_of(c)->exchange;
    size_t most = OPERATION(t, struct http_reading)->limit;
    return remember(&x->body, take_some(c, t, &x->body, &x->trailer, most, x->limit));
}

static int read_whole(struct conn *c, struct task *t)
{
    struct http_exchange *x = http_conn_of(c)->exchange;
    int r = remember(&x->body, take_whole(c, t, &x->body, OPERATION(t, struct http_reading)->limit, x->limit));
    if (r == CONN_GO_ON)
        conn_renew(c, t); /* a large body on a slow line: each piece gets the full time, as in piecemeal reads */
    return r;
}

static int receive_body(struct conn *c, struct task *t)
{
    const struct http_receiving *o = OPERATION(t, struct http_receiving);
    struct http_reader *r = o->reader;
    return remember(&r->body, take_some(c, t, &r->body, &r->trailer, o->limit, UINT64_MAX));
}

static int receive_whole(struct conn *c, struct task *t)
{
    const struct http_receiving *o = OPERATION(t, struct http_receiving);
    struct http_reader *r = o->reader;
    return remember(&r->body, take_whole(c, t, &r->body, o->limit, UINT64_MAX));
}

const struct conn_op http_body_some = CONN_OP("http.body", POLL_R, read_body);
const struct conn_op http_body_whole = CONN_OP("http.body", POLL_R, read_whole);
const struct conn_op http_client_body = CONN_OP("http.body", POLL_R, receive_body);
const struct conn_op http_client_whole = CONN_OP("http.body", POLL_R, receive_whole);
