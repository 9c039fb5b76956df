/* SPDX-License-Identifier: MIT */
/* h1_client.c - the client's side of HTTP/1. The head of a response is parsed in place, in `in`, and copied once when
 * it is complete: its spans are offsets, so they are valid for the copy too. */
#include "http/client_wire.h"

#include "base/errors.h"
#include "http/h1_frame.h"
#include "http/h1_fold.h"
#include "net/conn_read.h"

#include <errno.h>
#include <stdio.h>

#define PUT(out, literal) buf_append(out, literal, sizeof(literal) - 1)

/* ---- a request ---- */

static int put(struct buf *out, struct http_text text) { return buf_append(out, text.at, text.length); }

static int begin(struct buf *out, const struct http_start *s)
{
    int r = put(out, s->method);
    r = r < 0 ? r : PUT(out, " ");
    r = r < 0 ? r : put(out, s->prefix);
    r = r < 0 ? r : put(out, s->path);
    if (s->has_query) {
        r = r < 0 ? r : PUT(out, "?");
        r = r < 0 ? r : put(out, s->query);
    }
    return r < 0 ? r : PUT(out, " HTTP/1.1\r\n");
}

static int put_length(struct buf *out, int64_t length)
{
    char text[64];
    return buf_append(out, text, (size_t)snprintf(text, sizeof text, "Content-Length: %lld\r\n", (long long)length));
}

static int end(struct buf *out, const struct http_ending *e)
{
    int r = e->length >= 0 ? put_length(out, e->length) : 0;
    if (e->length == HTTP_LENGTH_UNKNOWN)
        r = PUT(out, "Transfer-Encoding: chunked\r\n");
    if (e->expect)
        r = r < 0 ? r : PUT(out, "Expect: 100-continue\r\n");
    if (e->protocols.length > 0) {
        r = r < 0 ? r : h1_add_field(out, "Upgrade", 7, e->protocols.at, e->protocols.length);
        r = r < 0 ? r : PUT(out, "Connection: Upgrade\r\n");
    } else if (e->last) {
        r = r < 0 ? r : PUT(out, "Connection: close\r\n");
    }
    return r < 0 ? r : h1_end_head(out);
}

static int data(struct http_sent *s, struct buf *before, size_t n, struct http_text *after)
{
    char text[24];
    if (s->length == HTTP_LENGTH_UNKNOWN) {
        *after = (struct http_text){"\r\n", 2};
        return buf_append(before, text, (size_t)snprintf(text, sizeof text, "%zx\r\n", n));
    }
    if (n > s->left)
        return HTTP_TOO_LONG;
    s->left -= n;
    return 0;
}

static int finish(struct http_sent *s, struct buf *out)
{
    if (s->length == HTTP_LENGTH_UNKNOWN)
        return PUT(out, "0\r\n\r\n");
    return s->left > 0 ? HTTP_TOO_SHORT : 0;
}

/* ---- a response's head ---- */

enum { INTERIM_MAX = 32 }; /* a server that sends only these would keep us for ever */

static bool is_interim(const struct http_reader *r)
{
    int status = r->head.status;
    return status < 200 && status != 101 && !(status == 100 && r->continues) && !r->relays;
}

/* The head is the first n bytes of `in`. */
static int take_head(struct conn *c, struct http_reader *r, size_t n)
{
    if (n > r->limit)
        return ERR_TOO_LONG;
    if (is_interim(r)) {
        buf_consume(&c->in, n);
        return ++r->interim > INTERIM_MAX ? ERR_MALFORMED : CONN_GO_ON;
    }
    r->bytes.start = r->bytes.end = 0;
    if (buf_append(&r->bytes, buf_at(&c->in), n) < 0)
        return -ENOMEM;
    buf_consume(&c->in, n);
    h1_response_body(&r->body, &r->head, r->to_head);
    return 0;
}

static int refused(int error) { return error == HTTP_TOO_MANY ? ERR_TOO_LONG : ERR_MALFORMED; }

/* An end before the first byte cuts no response off, so that TLS, too, need not have announced it: the client may try
 * again if the connection was an old one. */
static int ended(const struct http_reader *r, size_t n, int e)
{
    if (e != ERR_EOF && e != ERR_UNEXPECTED_EOF)
        return e;
    return n > 0 || r->interim > 0 ? ERR_UNEXPECTED_EOF : ERR_EOF;
}

static int read_head(struct conn *c, struct task *t)
{
    struct http_reader *r = OPERATION(t, struct http_receiving)->reader;
    size_t n = buf_len(&c->in);
    if (n > r->searched && h1_parse_has_end(buf_at(&c->in), n, r->searched)) {
        r->searched = 0;
        int got = h1_fold_response(&r->head, c->in.bytes + c->in.start, n);
        if (got != HTTP_INCOMPLETE)
            return got < 0 ? refused(got) : take_head(c, r, (size_t)got);
    }
    r->searched = n;
    if (n >= r->limit)
        return ERR_TOO_LONG;
    return ended(r, n, conn_read_fill(c, 1));
}

static const struct conn_op head = CONN_OP("http.response", POLL_R, read_head);

/* ---- what follows it ---- */

/* A 204 has no body, but a server that announces one may send it: it would be the answer to the next request. */
static bool is_dubious(const struct http_head *h)
{
    return h->status == 204 && (h->codings > 0 || h->content_length > 0);
}

static bool goes_on(const struct http_reader *r, const struct conn *c)
{
    bool kept = r->head.minor > 0 ? !r->head.close : r->head.keep_alive && !r->head.close;
    return kept && !is_dubious(&r->head) && r->body.framing != HTTP_BY_END && buf_len(&c->in) == 0;
}

const struct client_wire h1_client = {
    .begin = begin,
    .field = h1_add_field,
    .end = end,
    .data = data,
    .finish = finish,
    .head = &head,
    .some = &http_client_body,
    .whole = &http_client_whole,
    .goes_on = goes_on,
};
