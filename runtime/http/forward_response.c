/* SPDX-License-Identifier: MIT */
/* forward_response.c - heads go straight from the reader's bytes to the exchange's; what fails leaves these as they
 * were. */
#include "http/forward_response.h"

#include "base/errors.h"
#include "http/http_hops.h"
#include "http/http_server.h"

#include <stdio.h>
#include <strings.h>

enum { INLINE_MAX = 16384 }; /* longer bodies are not copied behind their head */

static struct http_text text_of(const struct http_reader *r, struct http_span s)
{
    return (struct http_text){buf_at(&r->bytes) + s.at, s.length};
}

static int copy_fields(struct buf *out, const struct http_reader *r)
{
    struct http_hops hops;
    int e = 0;
    http_hops_find(&hops, buf_at(&r->bytes), &r->head);
    if (hops.many || (r->head.coded && r->body.framing != HTTP_NO_BODY)) /* nobody would undo the codings */
        return ERR_MALFORMED;
    for (int i = 0; e == 0 && i < r->head.count; i++) {
        struct http_text name = text_of(r, r->head.fields[i].name), value = text_of(r, r->head.fields[i].value);
        if (!http_hops_has(&hops, name.at, name.length))
            e = h1_add_field(out, name.at, name.length, value.at, value.length);
    }
    return e;
}

/* ---- the response ---- */

static bool has_date(const struct http_reader *r)
{
    for (int i = 0; i < r->head.count; i++) {
        struct http_text name = text_of(r, r->head.fields[i].name);
        if (name.length == 4 && strncasecmp(name.at, "date", 4) == 0)
            return true;
    }
    return false;
}

/* Bytes of the body where they are known: a HEAD is answered with what a GET would have. */
static int64_t length_of(const struct http_reader *r)
{
    return r->head.chunked ? -1 : r->head.content_length;
}

static int put_head(struct http_exchange *x, const struct http_reader *r)
{
    struct buf *out = &x->out;
    size_t before = buf_len(out);
    if (x->failure)
        return x->failure;
    const char *date = has_date(r) ? NULL : http_conn_date(x->server);
    if (x->server->closing || !http_body_is_short(x))
        x->peer.keep_alive = false; /* nobody will read what is left of the body */
    int e = h1_begin_response(&x->framing, &x->peer, out, r->head.status, length_of(r), date);
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail any more */
    e = e < 0 ? e : copy_fields(out, r);
    e = e < 0 ? e : h1_end_head(out);
    if (e < 0)
        out->end = out->start + before;
    else
        x->framing.phase = HTTP_IN_BODY;
    return e;
}

/* A small body that is here already leaves with its head, unless that is all there may be. */
static bool takes_body(struct http_exchange *x, struct http_reader *r, struct conn *c)
{
    struct http_span data;
    size_t used = 0, n = r->body.left;
    if (r->body.over)
        return true;
    if (r->body.framing != HTTP_BY_LENGTH || n > INLINE_MAX || n > buf_len(&c->in))
        return false;
    if (!x->framing.mute && buf_append(&x->out, buf_at(&c->in), n) < 0)
        return false;
    x->framing.total = x->inside = x->framing.mute ? 0 : n;
    (void)h1_take(&r->body, buf_at(&c->in), n, &used, &data);
    buf_consume(&c->in, used);
    return true;
}

bool forward_response_has_begun(const struct http_exchange *x) { return x->framing.phase != HTTP_UNSENT; }
bool forward_response_is_free(const struct http_exchange *x) { return !x->conn->c.side[POLL_W].holder; }

int forward_response(struct http_exchange *x, struct http_reader *r, struct conn *c)
{
    int e = put_head(x, r);
    if (e < 0)
        return e;
    http_server_flush_later(x);
    if (!takes_body(x, r, c))
        return 0;
    x->framing.phase = HTTP_SENT;
    x->framing.left = 0;
    return 1;
}

/* ---- interim ones ---- */

static int put_interim(struct buf *out, const struct http_reader *r)
{
    char text[96];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", r->head.status, h1_reason(r->head.status));
    int e = buf_append(out, text, (size_t)n);
    e = e < 0 ? e : copy_fields(out, r);
    return e < 0 ? e : h1_end_head(out);
}

/* Can the client be told, and was it not told the same before? */
static bool hears_interim(const struct http_exchange *x, int status)
{
    bool told = status == 100 && x->head.expect && x->continued;
    return !x->peer.old && !x->failure && !forward_response_has_begun(x) && !told;
}

int forward_response_interim(struct http_exchange *x, const struct http_reader *r)
{
    size_t before = buf_len(&x->out);
    if (!hears_interim(x, r->head.status))
        return 0;
    int e = put_interim(&x->out, r);
    if (e < 0)
        x->out.end = x->out.start + before;
    else
        x->continued |= r->head.status == 100;
    http_server_flush_later(x);
    return e;
}

/* ---- another protocol ---- */

/* The protocol that a 101 names; false: none, or one that nobody asked for. */
static int put_protocol(struct buf *out, const struct http_reader *r, struct http_text asked)
{
    struct http_span one;
    size_t named = 0;
    int e = 0;
    for (int i = 0; e == 0 && i < r->head.count; i++) {
        struct http_text name = text_of(r, r->head.fields[i].name), value = text_of(r, r->head.fields[i].value);
        if (h1_parse_id(name.at, name.length) != HTTP_UPGRADE)
            continue;
        for (size_t at = 0; http_hops_next(value.at, value.length, &at, &one); named++)
            if (one.length == 0 || !http_hops_lists(asked.at, asked.length, value.at + one.at, one.length))
                return ERR_MALFORMED;
        e = h1_add_field(out, "Upgrade", 7, value.at, value.length);
    }
    return e == 0 && named != 1 ? ERR_MALFORMED : e;
}

int forward_response_switch(struct http_reader *w, const struct http_reader *r, struct http_text asked)
{
    static const char line[] = "HTTP/1.1 101 Switching Protocols\r\n", connection[] = "Connection: Upgrade\r\n";
    struct buf *out = &w->bytes;
    http_client_begin(w, false, 0);
    int e = buf_append(out, line, sizeof line - 1);
    e = e < 0 ? e : put_protocol(out, r, asked);
    e = e < 0 ? e : buf_append(out, connection, sizeof connection - 1);
    e = e < 0 ? e : copy_fields(out, r);
    return e < 0 ? e : h1_end_head(out);
}

bool forward_response_cut(struct http_exchange *x)
{
    if (x->framing.phase != HTTP_IN_BODY)
        return false;
    http_exchange_fail(x, !x->over && x->scope && x->scope->canceled ? ERR_CANCELED : ERR_CLOSED);
    return true;
}
