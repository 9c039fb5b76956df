/* SPDX-License-Identifier: MIT */
/* http_conn.c - the body is decoded where it lies in `in`: what a step finds is consumed when it has been handed out. */
#include "http_conn.h"

#include "conn_read.h"
#include "errors.h"
#include "sched.h"

#include <errno.h>

bool http_conn_is_short(const struct http_exchange *x)
{
    if (x->spoilt || x->body.held || x->body.total > x->limit)
        return false;
    return x->body.over || (x->continued && x->body.left <= HTTP_UNREAD_MAX);
}

/* A body that ends with its connection before its end was cut off. */
static int more(struct conn *c)
{
    int r = conn_read_fill(c);
    return r == ERR_EOF ? ERR_UNEXPECTED_EOF : r;
}

static int take_trailer(struct conn *c, struct http_exchange *x)
{
    struct http_head fields;
    int got = http_parse_trailers(&fields, buf_at(&c->in), buf_len(&c->in));
    if (got == HTTP_INCOMPLETE)
        return buf_len(&c->in) >= HTTP_TRAILERS_MAX ? ERR_TOO_LONG : more(c);
    if (got < 0)
        return ERR_MALFORMED;
    if (got > 2 && buf_append(&x->trailer, buf_at(&c->in), (size_t)got) < 0)
        return -ENOMEM;
    buf_consume(&c->in, (size_t)got);
    http_trailer_taken(&x->body);
    return CONN_GO_ON;
}

int http_conn_body(struct conn *c, struct task *t)
{
    struct http_exchange *x = http_conn_of(c)->exchange;
    struct http_span data;
    size_t used;
    if (x->body.total > x->limit)
        return ERR_TOO_LONG;
    if (x->body.held)
        return -ENOMEM; /* the last ones never reached anybody: the body has a hole */
    int step = http_take(&x->body, buf_at(&c->in), base_min(buf_len(&c->in), t->op.limit), &used, &data);
    switch (step) {
    case HTTP_BYTES:
        t->op.from = data.at;
        t->op.length = data.length;
        t->op.total = used;
        x->body.held = true;
        return x->body.total > x->limit ? ERR_TOO_LONG : 0;
    case HTTP_NEED:
        buf_consume(&c->in, used);
        return buf_len(&c->in) > 0 ? CONN_GO_ON : more(c);
    case HTTP_TRAILER_NEXT:
        buf_consume(&c->in, used);
        return take_trailer(c, x);
    case HTTP_OVER:
        return ERR_EOF;
    default:
        return ERR_MALFORMED;
    }
}

int http_conn_whole(struct conn *c, struct task *t)
{
    struct http_exchange *x = http_conn_of(c)->exchange;
    struct http_span data;
    must(x->body.framing == HTTP_BY_LENGTH);
    if (x->body.held)
        return -ENOMEM;
    if (x->body.left > t->op.limit || x->body.left > x->limit)
        return ERR_TOO_LONG;
    if (buf_len(&c->in) < x->body.left)
        return more(c);
    t->op.from = 0;
    (void)http_take(&x->body, buf_at(&c->in), buf_len(&c->in), &t->op.total, &data);
    t->op.length = t->op.total;
    x->body.held = true;
    return 0;
}
