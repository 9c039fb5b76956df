/* SPDX-License-Identifier: MIT */
/* head.h - what must hold of every head, of a request and of a response: the targets request.c and response.c. */
#ifndef MOONPARK_FUZZ_HEAD_H
#define MOONPARK_FUZZ_HEAD_H

#include "fuzz.h"

typedef int (*head_parser)(struct http_head *h, const char *bytes, size_t n);

/* Spans lie in the head, and hold only what may stand there. */
static inline void head_check(const struct http_head *h, const char *bytes, int got)
{
    check((uint32_t)got == h->length && h->count <= HTTP_FIELDS_MAX);
    const struct http_span all[] = {h->method, h->target, h->authority, h->path, h->query, h->reason};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        check(fuzz_inside(all[i], h->length));
    for (size_t i = 0; i < h->count; i++) {
        struct http_span name = h->fields[i].name, value = h->fields[i].value;
        check(fuzz_inside(name, h->length) && fuzz_inside(value, h->length) && name.at + name.length < value.at);
        check(h1_parse_is_token(bytes + name.at, name.length) && h1_parse_is_value(bytes + value.at, value.length));
        if (value.length > 0)
            check(!strchr(" \t", bytes[value.at]) && !strchr(" \t", bytes[value.at + value.length - 1]));
    }
    check(memcmp(bytes + got - 2, "\r\n", 2) == 0 && !memchr(bytes, '\0', (size_t)got));
    check(!h->chunked || (h->content_length < 0 && h->minor > 0 && h->has_chunks));
    check(h->codings <= 1 || h->status > 0);
    check(h->content_length < 0 || h->lengths == 1);
}

/* Before its end a head that is valid is incomplete; one that is not may be refused already, and then stays so. What
 * lies behind it changes nothing. */
static inline void head_prefixes(head_parser parse, const char *bytes, size_t n, int got)
{
    static struct http_head h;
    size_t whole = got > 0 ? (size_t)got : n;
    int before = HTTP_INCOMPLETE;
    for (size_t k = whole > 300 ? whole - 300 : 0; k < whole; k++) {
        int now = parse(&h, bytes, k);
        check(now <= 0 && (got < 0 || now == HTTP_INCOMPLETE));
        check(before == HTTP_INCOMPLETE || now == before);
        check(now == HTTP_INCOMPLETE || now == got);
        before = now;
    }
    if (got > 0)
        check(parse(&h, bytes, n) == got && parse(&h, bytes, whole) == got);
}

/* However much was searched in vain before, the end is found when it is there. */
static inline void head_has_end(const char *bytes, size_t n, int got)
{
    size_t whole = got > 0 ? (size_t)got : 0;
    if (got > 0)
        check(h1_parse_has_end(bytes, n, 0));
    for (size_t k = whole > 40 ? whole - 40 : 0; k < whole; k++)
        check(h1_parse_has_end(bytes, whole, k));
}

/* Writes what was understood: start line and fields. */
static inline size_t head_print(char *to, const struct http_head *h, const char *bytes, bool request)
{
    char *at = to;
    if (request)
        at += sprintf(at, "%.*s %.*s HTTP/1.%d\r\n", (int)h->method.length, bytes + h->method.at, (int)h->target.length,
                      bytes + h->target.at, h->minor);
    else
        at += sprintf(at, "HTTP/1.%d %d %.*s\r\n", h->minor, h->status, (int)h->reason.length, bytes + h->reason.at);
    for (size_t i = 0; i < h->count; i++) {
        struct http_span name = h->fields[i].name, value = h->fields[i].value;
        at += sprintf(at, "%.*s:%.*s\r\n", (int)name.length, bytes + name.at, (int)value.length, bytes + value.at);
    }
    at += sprintf(at, "\r\n");
    return (size_t)(at - to);
}

/* What was understood is written and read again: the same message. */
static inline void head_again(head_parser parse, const struct http_head *h, const char *bytes, bool request)
{
    static struct http_head again;
    char *text = malloc(h->length + 64);
    check(text);
    size_t n = head_print(text, h, bytes, request);
    check(parse(&again, text, n) == (int)n);
    check(fuzz_same(bytes, h->method, text, again.method) && fuzz_same(bytes, h->target, text, again.target));
    check(fuzz_same(bytes, h->authority, text, again.authority) && fuzz_same(bytes, h->path, text, again.path));
    check(fuzz_same(bytes, h->query, text, again.query) && fuzz_same(bytes, h->reason, text, again.reason));
    check(h->content_length == again.content_length && h->status == again.status && h->count == again.count);
    check(h->form == again.form && h->minor == again.minor && h->has_query == again.has_query);
    check(h->chunked == again.chunked && h->close == again.close && h->keep_alive == again.keep_alive);
    check(h->upgrade == again.upgrade && h->expect == again.expect && h->until_end == again.until_end);
    for (size_t i = 0; i < h->count; i++)
        check(fuzz_same(bytes, h->fields[i].name, text, again.fields[i].name) &&
              fuzz_same(bytes, h->fields[i].value, text, again.fields[i].value));
    free(text);
}

static inline int head_run(head_parser parse, const uint8_t *input, size_t n, bool request)
{
    static struct http_head h;
    char *bytes = fuzz_exact(input, n);
    int got = parse(&h, bytes, n);
    check(got <= (int)n && (got >= 0 || strcmp(h1_parse_words(got), "malformed message") != 0));
    head_prefixes(parse, bytes, n, got);
    head_has_end(bytes, n, got);
    if (got > 0) {
        head_check(&h, bytes, got);
        head_again(parse, &h, bytes, request);
        differ_head(&h, bytes, request);
    }
    free(bytes);
    return 0;
}

#endif
