/* SPDX-License-Identifier: MIT */
/* http_client.c - a head is parsed where it lies in `in`, and copied once when it is complete: its spans are offsets,
 * so they hold for the copy too. */
#include "http/http_client.h"

#include "base/errors.h"
#include "http/h1_fold.h"
#include "net/conn_read.h"

#include <errno.h>

enum { INTERIM_MAX = 32 }; /* a server that sends only these would keep us for ever */

void http_client_begin(struct http_reader *r, bool to_head, size_t limit)
{
    r->bytes.start = r->bytes.end = 0;
    r->trailer.start = r->trailer.end = 0;
    r->searched = 0;
    r->interim = 0;
    r->body = (struct http_body){0};
    r->head.count = 0;
    r->head.status = 0;
    r->to_head = to_head;
    r->limit = limit;
}

void http_client_fini(struct http_reader *r)
{
    buf_fini(&r->bytes);
    buf_fini(&r->trailer);
}

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
    int e = conn_read_fill(c);
    return e == ERR_EOF && (n > 0 || r->interim > 0) ? ERR_UNEXPECTED_EOF : e;
}

const struct conn_op http_client_head = CONN_OP("http.response", POLL_R, read_head);

/* A 204 has no body, but who says that it has one may send it: it would be the answer to the next request. */
static bool is_dubious(const struct http_head *h)
{
    return h->status == 204 && (h->codings > 0 || h->content_length > 0);
}

bool http_client_reusable(const struct http_reader *r, const struct conn *c)
{
    if (is_dubious(&r->head))
        return false;
    bool goes_on = r->head.minor > 0 ? !r->head.close : r->head.keep_alive && !r->head.close;
    if (c->side[POLL_R].holder) /* another task still asks for more of this response */
        return false;
    return goes_on && r->head.status >= 200 && r->body.over && r->body.framing != HTTP_BY_END && !c->closed &&
           !c->ended && !c->lost && buf_len(&c->in) == 0;
}

bool http_client_quiet(struct conn *c, bool sure)
{
    const struct pollDesc *pd = c->stream.pd;
    if (c->closed || c->ended || c->lost || buf_len(&c->in) > 0)
        return false;
    if (pd && pd->hangup)
        return false;
    if (!sure && c->drained && pd && !netpoll_is_ready(pd, POLL_R)) /* what a full read has left makes no new edge */
        return true;
    return c->stream.ops->ready(&c->stream, POLL_R) == 0;
}
