/* SPDX-License-Identifier: MIT */
/* http_interim.c - an interim response is written into `out` like any head, and removed if it is incomplete. */
#include "http/http_interim.h"

int http_interim_begin(struct http_exchange *x, int status)
{
    x->before = buf_len(&x->out);
    return x->wire->interim(x, status);
}

int http_interim_end(struct http_exchange *x, int r)
{
    r = r < 0 ? r : x->wire->end_head(x);
    if (r < 0)
        exchange_drop_head(x);
    else
        exchange_flush_later(x);
    return r;
}

int http_interim_continue(struct http_exchange *x)
{
    if (x->continued || x->relayed || x->framing.phase != HTTP_UNSENT || buf_len(&x->conn->c.in) > 0)
        return 0;
    int r = http_interim_end(x, http_interim_begin(x, 100));
    x->continued |= r == 0;
    return r;
}
