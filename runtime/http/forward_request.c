/* SPDX-License-Identifier: MIT */
/* forward_request.c - writes the client's fields in their order, except for those that the proxy sets, then ours. */
#include "http/forward_request.h"

#include "base/errors.h"
#include "http/client_wire.h"
#include "http/h1_scan.h"
#include "http/forward_check.h"
#include "http/http_hops.h"

#include <string.h>

#define TEXT(literal) ((struct http_text){literal, sizeof(literal) - 1})

/* What is written, where, and from what. */
struct forwarding {
    struct http_reader *w;
    const struct http_exchange *x;
    const struct forward_request *q;
    struct buf *value; /* of a field that is put together */
};

static const char *bytes_of(const struct http_exchange *x) { return buf_at(&x->bytes); }

static struct http_text text_of(const struct http_exchange *x, struct http_span s)
{
    return (struct http_text){bytes_of(x) + s.at, s.length};
}

static int put(struct buf *out, struct http_text text) { return buf_append(out, text.at, text.length); }

static int put_field(const struct forwarding *j, struct http_text name, struct http_text value)
{
    return j->w->wire->field(&j->w->bytes, name.at, name.length, value.at, value.length);
}

/* ---- the request's beginning ---- */

/* RFC 9112 3.2.4: OPTIONS without a path is about the server as a whole. */
static bool is_about_all(const struct http_exchange *x, struct http_text path)
{
    const struct http_head *h = &x->head;
    if (path.at[0] == '*')
        return true;
    return h->form == HTTP_ABSOLUTE && h->path.length == 0 && !h->has_query && path.length == 1 &&
           h->method.length == 7 && memcmp(bytes_of(x) + h->method.at, "OPTIONS", 7) == 0;
}

/* The target's own path stands before what was asked for, which is in origin form from here on. */
static int put_start(const struct forwarding *j)
{
    const struct http_head *h = &j->x->head;
    struct http_start s = {.method = text_of(j->x, h->method), .path = TEXT("*")};
    if (!is_about_all(j->x, j->q->path)) {
        s.prefix = j->q->prefix;
        s.path = j->q->path;
        s.has_query = h->has_query;
        s.query = text_of(j->x, h->query);
    }
    int r = j->w->wire->begin(&j->w->bytes, &s);
    return r < 0 ? r : put_field(j, TEXT("Host"), j->q->host.at ? j->q->host : text_of(j->x, h->authority));
}

/* ---- the client's fields ---- */

/* Is the field one that is written anew, or that the client may not say? */
static bool is_ours(const struct forward_request *q, const char *name, size_t n)
{
    switch (forward_check_name(name, n)) {
    case HTTP_UNTRUSTED: return false;
    case HTTP_VIA: return q->via.at != NULL;
    case HTTP_MAX_FORWARDS: return q->hops.at != NULL;
    case HTTP_DISGUISED: return true;
    default: return q->client != FORWARD_NOT;
    }
}

static int put_clients_fields(const struct forwarding *j)
{
    const struct http_head *h = &j->x->head;
    struct http_hops hops;
    int r = 0;
    http_hops_find(&hops, bytes_of(j->x), h);
    if (hops.many)
        return ERR_MALFORMED;
    for (int i = 0; r == 0 && i < h->count; i++) {
        struct http_text name = text_of(j->x, h->fields[i].name);
        if (!is_ours(j->q, name.at, name.length) && !http_hops_has(&hops, name.at, name.length))
            r = put_field(j, name, text_of(j->x, h->fields[i].value));
    }
    return r;
}

/* ---- who the client is ---- */

/* The address without the port, as X-Forwarded-For has it; an IPv6 one keeps its brackets for Forwarded only. */
static struct http_text client_address(const struct http_exchange *x, char *text, bool brackets)
{
    struct addr a;
    if (stream_address(&x->conn->c.stream, STREAM_PEER, &a) < 0 || a.any.sa_family == AF_UNIX)
        return TEXT("unknown");
    size_t n = addr_format(&a, text);
    while (n > 0 && text[n - 1] != ':')
        n--;
    n -= n > 0;
    bool bare = n > 2 && text[0] == '[' && !brackets;
    return bare ? (struct http_text){text + 1, n - 2} : (struct http_text){text, n};
}

/* Begins a value with those of the client's own fields of that kind, each with a comma after it: ours goes on there.
 * One that is not to the letter of its grammar might swallow ours. */
static int put_earlier(const struct forwarding *j, enum http_trusted kind)
{
    const struct http_head *h = &j->x->head;
    int r = 0;
    j->value->start = j->value->end = 0;
    for (int i = 0; r == 0 && i < h->count; i++) {
        struct http_text name = text_of(j->x, h->fields[i].name), value = text_of(j->x, h->fields[i].value);
        if (forward_check_name(name.at, name.length) != kind || value.length == 0 ||
            !forward_check_is_good(kind, value.at, value.length))
            continue;
        r = put(j->value, value);
        r = r < 0 ? r : put(j->value, TEXT(", "));
    }
    return r;
}

static int put_value(const struct forwarding *j, struct http_text name)
{
    return put_field(j, name, (struct http_text){buf_at(j->value), buf_len(j->value)});
}

static struct http_text scheme(const struct http_exchange *x)
{
    return x->conn->c.stream.ops->secure ? TEXT("https") : TEXT("http");
}

static int put_x_forwarded(const struct forwarding *j)
{
    struct http_text host = text_of(j->x, j->x->head.authority);
    char text[ADDR_TEXT_MAX];
    int r = put_earlier(j, HTTP_X_FORWARDED_FOR);
    r = r < 0 ? r : put(j->value, client_address(j->x, text, false));
    r = r < 0 ? r : put_value(j, TEXT("X-Forwarded-For"));
    r = r < 0 ? r : put_field(j, TEXT("X-Forwarded-Proto"), scheme(j->x));
    if (r < 0 || host.length == 0 || memchr(host.at, ',', host.length)) /* that would be two */
        return r;
    return put_field(j, TEXT("X-Forwarded-Host"), host);
}

/* RFC 7239. The Host was checked when it was parsed: there is no quote in it. */
static int put_forwarded(const struct forwarding *j)
{
    struct http_text host = text_of(j->x, j->x->head.authority);
    char text[ADDR_TEXT_MAX];
    int r = put_earlier(j, HTTP_FORWARDED);
    r = r < 0 ? r : put(j->value, TEXT("for=\""));
    r = r < 0 ? r : put(j->value, client_address(j->x, text, true));
    r = r < 0 ? r : put(j->value, TEXT("\";proto="));
    r = r < 0 ? r : put(j->value, scheme(j->x));
    if (r == 0 && host.length > 0) {
        r = put(j->value, TEXT(";host=\""));
        r = r < 0 ? r : put(j->value, host);
        r = r < 0 ? r : put(j->value, TEXT("\""));
    }
    return r < 0 ? r : put_value(j, TEXT("Forwarded"));
}

/* RFC 9110 7.6.3: the version is that of the client's message. */
static int put_via(const struct forwarding *j)
{
    int r = put_earlier(j, HTTP_VIA);
    r = r < 0 ? r : put(j->value, j->x->head.minor == 0 ? TEXT("1.0 ") : TEXT("1.1 "));
    r = r < 0 ? r : put(j->value, j->q->via);
    return r < 0 ? r : put_value(j, TEXT("Via"));
}

static int put_our_fields(const struct forwarding *j)
{
    const struct forward_request *q = j->q;
    int r = q->client == FORWARD_X ? put_x_forwarded(j) : q->client == FORWARD_STANDARD ? put_forwarded(j) : 0;
    if (q->via.at)
        r = r < 0 ? r : put_via(j);
    if (q->hops.at)
        r = r < 0 ? r : put_field(j, TEXT("Max-Forwards"), q->hops);
    return r;
}

/* ---- the request's end ---- */

/* Those of the protocols that a field of the client's asks for which may pass. */
static int put_allowed(const struct forwarding *j, struct http_text asked)
{
    const struct http_text *may = &j->q->protocols;
    struct http_span one;
    int r = 0;
    for (size_t at = 0; r == 0 && http_hops_next(asked.at, asked.length, &at, &one);) {
        if (one.length == 0 || !http_hops_lists(may->at, may->length, asked.at + one.at, one.length))
            continue;
        if (buf_len(j->value) > 0)
            r = put(j->value, TEXT(", "));
        r = r < 0 ? r : buf_append(j->value, asked.at + one.at, one.length);
    }
    return r;
}

static int put_protocols(const struct forwarding *j)
{
    const struct http_head *h = &j->x->head;
    int r = 0;
    j->value->start = j->value->end = 0;
    if (!j->q->protocols.at || !h->upgrade)
        return 0;
    for (int i = 0; r == 0 && i < h->count; i++)
        if (h1_parse_id(bytes_of(j->x) + h->fields[i].name.at, h->fields[i].name.length) == HTTP_UPGRADE)
            r = put_allowed(j, text_of(j->x, h->fields[i].value));
    return r;
}

/* A message has one framing: that which we have understood. */
static int64_t length_of(const struct http_head *h, int64_t held)
{
    if (held >= 0)
        return held;
    return h->chunked ? HTTP_LENGTH_UNKNOWN : h->content_length >= 0 ? h->content_length : HTTP_LENGTH_NONE;
}

static int put_end(const struct forwarding *j, bool asks)
{
    int r = put_protocols(j);
    const struct http_ending ending = {
        .length = length_of(&j->x->head, j->q->held),
        .expect = asks,
        .protocols = {buf_at(j->value), buf_len(j->value)},
    };
    return r < 0 ? r : j->w->wire->end(&j->w->bytes, &ending);
}

int forward_request(struct http_reader *w, struct http_exchange *x, const struct forward_request *q)
{
    const struct forwarding j = {.w = w, .x = x, .q = q, .value = &w->trailer};
    bool asks = q->held < 0 && forward_request_asks(x);
    http_client_begin(w, false, 0);
    int r = put_start(&j);
    r = r < 0 ? r : put_clients_fields(&j);
    r = r < 0 ? r : put_our_fields(&j);
    r = r < 0 ? r : put_end(&j, asks);
    x->relayed |= r == 0 && asks;
    return r;
}

/* Nobody has told the client to go on yet. */
bool forward_request_asks(const struct http_exchange *x)
{
    return x->head.expect && !x->continued && !x->body.over && x->body.total == 0;
}

bool forward_request_is_path(struct http_text p)
{
    bool fine = p.length > 0 && all(p.at, p.length, TARGET) && !memchr(p.at, '?', p.length);
    return fine && (p.at[0] == '/' || (p.at[0] == '*' && p.length == 1));
}
