/* SPDX-License-Identifier: MIT */
/* http_client.c - the checks that do not depend on the protocol; the rest is done by the protocol's table. */
#include "http/http_client.h"

#include "base/errors.h"
#include "http/client_wire.h"

void http_client_init(struct http_reader *r) { r->wire = &h1_client; }

void http_client_fini(struct http_reader *r)
{
    buf_fini(&r->bytes);
    buf_fini(&r->trailer);
    buf_fini(&r->around.before);
}

/* ---- a request's head ---- */

static bool is_target(struct http_text s)
{
    for (size_t i = 0; i < s.length; i++)
        if (s.at[i] <= ' ' || s.at[i] == 127)
            return false; /* negative: not ASCII */
    return s.length > 0;
}

int http_client_start(struct http_reader *r, const struct http_start *start)
{
    if (!h1_parse_is_token(start->method.at, start->method.length))
        return HTTP_WRONG_METHOD;
    if (!is_target(start->path))
        return HTTP_WRONG_TARGET;
    http_client_begin(r, false, 0);
    return r->wire->begin(&r->bytes, start);
}

int http_client_field(struct http_reader *r, struct http_text name, struct http_text value)
{
    if (!h1_parse_is_token(name.at, name.length))
        return HTTP_WRONG_NAME;
    if (!h1_parse_is_value(value.at, value.length))
        return HTTP_WRONG_VALUE;
    return r->wire->field(&r->bytes, name.at, name.length, value.at, value.length);
}

int http_client_end(struct http_reader *r, const struct http_ending *ending)
{
    if (!h1_parse_is_value(ending->protocols.at, ending->protocols.length))
        return HTTP_WRONG_VALUE;
    return r->wire->end(&r->bytes, ending);
}

/* ---- the request on its way ---- */

void http_client_sends(struct http_reader *r, int64_t length)
{
    r->sent = (struct http_sent){.length = length, .left = length > 0 ? (uint64_t)length : 0};
}

static int gather(struct task *t, struct iovec *iov, int max)
{
    const struct http_sending *s = OPERATION(t, struct http_sending);
    const struct http_around *a = &s->reader->around;
    const struct http_text parts[] = {a->head, {buf_at(&a->before), buf_len(&a->before)}, s->data, a->after};
    size_t skip = t->op.total;
    int count = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts) && count < max; i++) {
        size_t gone = base_min(skip, parts[i].length);
        skip -= gone;
        if (parts[i].length > gone)
            iov[count++] = (struct iovec){.iov_base = (char *)parts[i].at + gone, .iov_len = parts[i].length - gone};
    }
    return count;
}

static void begin_sending(struct http_reader *r, struct http_text head)
{
    r->around.head = head;
    r->around.before.start = r->around.before.end = 0;
    r->around.after = (struct http_text){0};
}

static void prepare(struct http_reader *r, struct task *t, struct http_text data)
{
    *OPERATION(t, struct http_sending) = (struct http_sending){.writing.gather = gather, .reader = r, .data = data};
    t->op.length = r->around.head.length + buf_len(&r->around.before) + data.length + r->around.after.length;
    t->op.total = 0;
}

int http_client_send(struct http_reader *r, struct task *t, struct http_text head, struct http_text data)
{
    begin_sending(r, head);
    int e = data.length > 0 ? r->wire->data(&r->sent, &r->around.before, data.length, &r->around.after) : 0;
    if (e == 0)
        prepare(r, t, data);
    return e;
}

int http_client_finish(struct http_reader *r, struct task *t)
{
    const struct http_text none = {0};
    begin_sending(r, none);
    int e = r->wire->finish(&r->sent, &r->around.before);
    if (e == 0)
        prepare(r, t, none);
    return e;
}

/* ---- the response ---- */

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

const struct conn_op *http_client_head(const struct http_reader *r) { return r->wire->head; }
const struct conn_op *http_client_some(const struct http_reader *r) { return r->wire->some; }
const struct conn_op *http_client_all(const struct http_reader *r) { return r->wire->whole; }

bool http_client_has_length(const struct http_reader *r) { return r->body.framing == HTTP_BY_LENGTH; }

bool http_client_reusable(const struct http_reader *r, const struct conn *c)
{
    if (c->side[POLL_R].holder) /* another task still asks for more of this response */
        return false;
    return r->head.status >= 200 && r->body.over && !c->closed && !c->ended && !c->lost && r->wire->goes_on(r, c);
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
