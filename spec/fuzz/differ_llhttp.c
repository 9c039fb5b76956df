/* SPDX-License-Identifier: MIT */
/* differ_llhttp.c - the same bytes through llhttp (strict, nothing lenient), Node's parser: what we accept it accepts,
 * and sees the same message. It may accept more. Where it may see something else there is a reason in exceptions(). */
#include "fuzz.h"

#include <llhttp.h>

/* ---- what llhttp said ---- */

enum { FIELDS_MAX = 2048 }; /* trailers are as many as fit: at four bytes each, more than a run has */

struct seen {
    llhttp_t parser;
    const char *bytes;
    struct http_span target, reason;
    struct http_field fields[FIELDS_MAX];
    size_t names, values;
    bool head, over;
    char *body;
    size_t length;
};

/* Within one piece of bytes each thing is reported in one piece, except where a state machine of llhttp's starts anew:
 * what touches the span before is part of it. */
static void grow(struct http_span *s, size_t at, size_t length)
{
    if (s->length == 0)
        s->at = (uint32_t)at;
    check(s->at + s->length == at);
    s->length += (uint32_t)length;
}

static struct seen *seen_of(llhttp_t *p) { return p->data; }
static size_t place(struct seen *s, const char *at) { return (size_t)(at - s->bytes); }

static int on_target(llhttp_t *p, const char *at, size_t n)
{
    grow(&seen_of(p)->target, place(seen_of(p), at), n);
    return 0;
}

static int on_reason(llhttp_t *p, const char *at, size_t n)
{
    grow(&seen_of(p)->reason, place(seen_of(p), at), n);
    return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    check(seen_of(p)->names < FIELDS_MAX);
    grow(&seen_of(p)->fields[seen_of(p)->names].name, place(seen_of(p), at), n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    check(seen_of(p)->values < FIELDS_MAX);
    grow(&seen_of(p)->fields[seen_of(p)->values].value, place(seen_of(p), at), n);
    return 0;
}

static int on_name_end(llhttp_t *p) { return seen_of(p)->names++, 0; }
static int on_value_end(llhttp_t *p) { return seen_of(p)->values++, 0; }
static int on_head(llhttp_t *p) { return seen_of(p)->head = true, seen_of(p)->body ? 0 : HPE_PAUSED; }
static int on_end(llhttp_t *p) { return seen_of(p)->over = true, HPE_PAUSED; }

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    memcpy(seen_of(p)->body + seen_of(p)->length, at, n);
    seen_of(p)->length += n;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_field_complete = on_name_end,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_end,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

static llhttp_errno_t run(struct seen *s, const char *bytes, size_t n, bool request)
{
    llhttp_init(&s->parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    s->parser.data = s;
    s->bytes = bytes;
    return llhttp_execute(&s->parser, bytes, n);
}

/* ---- what may differ ---- */

struct exceptions {
    bool refused; /* llhttp may refuse it */
    bool flags;   /* it may see other connection options */
};

static bool knows_method(const struct http_head *h, const char *bytes)
{
#define KNOWN(number, name, string) #string,
    static const char *const known[] = {HTTP_METHOD_MAP(KNOWN)};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (h->method.length == strlen(known[i]) && memcmp(bytes + h->method.at, known[i], h->method.length) == 0)
            return true;
    return false;
}

/* Each line is one difference, and why it is none of meaning. */
static struct exceptions exceptions(const struct http_head *h, const char *bytes, bool request)
{
    struct exceptions e = {0};
    e.refused |= request && !knows_method(h, bytes); /* it has a list of methods; any token is one, RFC 9110 9.1 */
    e.refused |= h->minor > 1; /* it has a list of versions; a higher minor one is read as 1.1, RFC 9110 2.5 */
    e.flags |= h->minor == 0 && h->close && h->keep_alive; /* in HTTP/1.0 it does not look at "close" */
    for (size_t i = 0; i < h->count; i++) {
        struct http_span name = h->fields[i].name, value = h->fields[i].value;
        bool tab = memchr(bytes + name.at, '\t', value.at + value.length - name.at) != NULL;
        for (size_t at = value.at + value.length; bytes[at] != '\r'; at++)
            tab |= bytes[at] == '\t';
        /* It does not take a tab for white space there, RFC 9110 5.6.3. */
        e.flags |= tab && fuzz_is(bytes, name, "connection");
        e.refused |= tab && (fuzz_is(bytes, name, "content-length") || fuzz_is(bytes, name, "transfer-encoding"));
        e.flags |= fuzz_is(bytes, name, "proxy-connection"); /* to it the same as Connection; it never was a standard */
    }
    return e;
}

/* ---- heads ---- */

static struct http_span trimmed(const char *bytes, struct http_span s)
{
    while (s.length > 0 && strchr(" \t", bytes[s.at + s.length - 1]))
        s.length--;
    return s;
}

static void same_fields(const struct http_head *h, const struct seen *s, const char *bytes)
{
    check(s->names == h->count && s->values == h->count);
    for (size_t i = 0; i < h->count; i++) {
        check(fuzz_same(bytes, h->fields[i].name, bytes, s->fields[i].name));
        check(fuzz_same(bytes, h->fields[i].value, bytes, trimmed(bytes, s->fields[i].value)));
    }
}

static void same_framing(const struct http_head *h, const struct seen *s)
{
    const llhttp_t *p = &s->parser;
    check(h->chunked == !!(p->flags & F_CHUNKED));
    check((h->content_length >= 0) == !!(p->flags & F_CONTENT_LENGTH));
    check(h->content_length < 0 || (uint64_t)h->content_length == p->content_length);
}

static void same_connection(const struct http_head *h, const struct seen *s)
{
    const llhttp_t *p = &s->parser;
    check(h->close == !!(p->flags & F_CONNECTION_CLOSE));
    check(h->keep_alive == !!(p->flags & F_CONNECTION_KEEP_ALIVE));
    check(h->upgrade == (h->minor > 0 && (p->flags & F_UPGRADE) && (p->flags & F_CONNECTION_UPGRADE)));
    bool goes_on = h->minor > 0 ? !h->close : h->keep_alive;
    bool to_end = h->until_end && h->status >= 200 && h->status != 204 && h->status != 304;
    check((goes_on && !to_end) == !!llhttp_should_keep_alive(p));
}

void differ_head(const struct http_head *h, const char *bytes, bool request)
{
    static struct seen s;
    memset(&s, 0, sizeof s);
    struct exceptions e = exceptions(h, bytes, request);
    llhttp_errno_t r = run(&s, bytes, h->length, request);
    if (e.refused && r != HPE_PAUSED)
        return;
    check(r == HPE_PAUSED && s.head);
    if (request)
        check(fuzz_same(bytes, h->target, bytes, s.target));
    else
        check(s.parser.status_code == h->status && fuzz_same(bytes, h->reason, bytes, s.reason));
    if (request)
        check(strncmp(llhttp_method_name(s.parser.method), bytes + h->method.at, h->method.length) == 0);
    check(s.parser.http_major == 1 && s.parser.http_minor == h->minor);
    same_fields(h, &s, bytes);
    same_framing(h, &s);
    if (!e.flags)
        same_connection(h, &s);
}

/* ---- chunks ---- */

/* Has a line with a size anything behind it? The chunks are valid. */
static bool has_more_than_sizes(const char *bytes)
{
    for (;;) {
        char *end;
        unsigned long long size = strtoull(bytes, &end, 16);
        if (*end != '\r')
            return true;
        if (size == 0)
            return false;
        bytes = end + 2 + size + 2;
    }
}

/* It refuses blanks behind a size, and some extensions, RFC 9112 7.1.1. */
void differ_chunks(const char *bytes, size_t n, const char *data, size_t length)
{
    static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    static struct seen s;
    memset(&s, 0, sizeof s);
    char *text = malloc(sizeof head - 1 + n);
    s.body = malloc(n + 1);
    check(text && s.body);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof head - 1, bytes, n);
    llhttp_errno_t r = run(&s, text, sizeof head - 1 + n, true);
    if (r == HPE_PAUSED || !has_more_than_sizes(bytes)) {
        check(r == HPE_PAUSED && s.over && llhttp_get_error_pos(&s.parser) == text + sizeof head - 1 + n);
        check(s.length == length && memcmp(s.body, data, length) == 0);
    }
    free(text);
    free(s.body);
}
