/* SPDX-License-Identifier: MIT */
/* exchange.c - what a response may still become, and what it must not.
 *
 * A write that has ended in the middle leaves a gap: nothing may follow it. */
#include "http/exchange.h"

bool http_body_is_short(const struct http_exchange *x)
{
    if (x->spoilt || x->body.held || x->body.total > x->limit)
        return false;
    return x->body.over || (x->continued && x->body.left <= HTTP_UNREAD_MAX);
}

/* Bytes of the body that lie in `out`. Behind them may stand the end of their chunk, and that of the body. */
static size_t held_back(const struct http_exchange *x)
{
    bool chunks = x->framing.framing == HTTP_BY_CHUNKS;
    size_t n = buf_len(&x->out), behind = !chunks ? 0 : x->framing.phase == HTTP_SENT ? 7 : 2;
    return n > behind ? base_min(n - behind, x->inside) : 0;
}

void http_exchange_cut(struct http_exchange *x, int r, size_t unsent)
{
    http_exchange_fail(x, r);
    x->framing.total -= unsent + held_back(x);
    x->out.start = x->out.end = 0;
}
