/* SPDX-License-Identifier: MIT */
/* forward_response.c - heads go straight from the reader's bytes to the exchange's `out`, which a failure leaves as it
 * was. */
#include "http/forward_response.h"

#include "base/errors.h"
#include "http/h1_frame.h"
#include "http/http_hops.h"
#include "http/http_interim.h"

#include <strings.h>

static struct http_text text_of(const struct http_reader *r, struct http_span s)
{
    return (struct http_text){buf_at(&r->bytes) + s.at, s.length};
}

typedef int add_field(void *to, struct http_text name, struct http_text value);

static int add_to_exchange(void *to, struct http_text name, struct http_text value)
{
    struct http_exchange *x = to;
    return x->wire->field(x, name.at, name.length, value.at, value.length);
}

static int add_to_text(void *to, struct http_text name, struct http_text value)
{
    return h1_add_field(to, name.at, name.length, value.at, value.length);
}

static int copy_fields(const struct http_reader *r, const struct forward_own *own, add_field *add, void *to)
{
    struct http_hops hops;
    int e = 0;
    http_hops_find(&hops, buf_at(&r->bytes), &r->head);
    if (hops.many || (r->head.coded && r->body.framing != HTTP_NO_BODY)) /* nobody would undo the codings */
        return ERR_MALFORMED;
    for (int i = 0; e == 0 && i < r->head.count; i++) {
        struct http_text name = text_of(r, r->head.fields[i].name), value = text_of(r, r->head.fields[i].value);
        if (!http_hops_has(&hops, name.at, name.length) && !(own && own->has(own->fields, name)))
            e = add(to, name, value);
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

/* The length of the body if it is known; for a HEAD, what a GET would have. */
static int64_t length_of(const struct http_reader *r)
{
    return r->head.chunked ? -1 : r->head.content_length;
}

/* A head that cannot be passed on is taken back: another response is sent in its place. */
static int put_head(struct http_exchange *x, const struct http_reader *r, const struct forward_own *own)
{
    if (x->failure)
        return x->failure;
    int e = exchange_begin(x, r->head.status, length_of(r), NULL, 0, has_date(r));
    e = e < 0 ? e : copy_fields(r, own, add_to_exchange, x);
    e = e == 0 && own ? own->add(own->fields, x) : e;
    e = e == 0 ? x->wire->end_head(x) : e;
    if (e != 0)
        exchange_drop_head(x);
    else
        x->framing.phase = HTTP_IN_BODY;
    return e;
}

/* Appends a small body that is here already, so that it leaves with its head; drops it if it may not be sent. Returns
 * false if the body has to be streamed. */
static bool takes_body(struct http_exchange *x, struct http_reader *r, struct conn *c)
{
    struct http_span data;
    size_t used = 0, n = r->body.over ? 0 : r->body.left;
    if (!r->body.over && (r->body.framing != HTTP_BY_LENGTH || n > EXCHANGE_COPIED || n > buf_len(&c->in)))
        return false;
    if (n > 0 && !x->framing.mute && buf_append(&x->out, buf_at(&c->in), n) < 0)
        return false;
    x->wire->whole(x, n);
    x->body_out = exchange_bytes(x);
    x->tail = 0;
    if (n > 0)
        (void)h1_take(&r->body, buf_at(&c->in), n, &used, &data);
    buf_consume(&c->in, used);
    return true;
}

bool forward_response_has_begun(const struct http_exchange *x) { return exchange_phase(x) != HTTP_UNSENT; }
bool forward_response_is_free(const struct http_exchange *x) { return !exchange_is_busy(x); }

int forward_response(struct http_exchange *x, struct http_reader *r, struct conn *c, const struct forward_own *own)
{
    int e = put_head(x, r, own);
    if (e < 0)
        return e;
    exchange_flush_later(x);
    return takes_body(x, r, c);
}

/* ---- interim responses ---- */

/* Does the client understand it, and is it still of use? */
static bool hears_interim(const struct http_exchange *x, int status)
{
    bool told = status == 100 && x->head.expect && x->continued;
    return !x->peer.old && !x->failure && !forward_response_has_begun(x) && !told;
}

int forward_response_interim(struct http_exchange *x, const struct http_reader *r)
{
    if (!hears_interim(x, r->head.status))
        return 0;
    int e = http_interim_begin(x, r->head.status);
    e = http_interim_end(x, e < 0 ? e : copy_fields(r, NULL, add_to_exchange, x));
    x->continued |= e == 0 && r->head.status == 100;
    return e;
}

/* ---- another protocol ---- */

/* The protocol that a 101 names. ERR_MALFORMED: none, several, or one that the client did not ask for. */
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
    e = e < 0 ? e : copy_fields(r, NULL, add_to_text, out);
    return e < 0 ? e : h1_end_head(out);
}

bool forward_response_cut(struct http_exchange *x)
{
    if (exchange_phase(x) != HTTP_IN_BODY)
        return false;
    exchange_fail(x, !x->returned && x->scope && x->scope->canceled ? ERR_CANCELED : ERR_CLOSED);
    return true;
}
