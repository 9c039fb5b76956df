/* SPDX-License-Identifier: MIT */
/* chunked.c - the bytes are a chunked body with its trailers. Whole, cut in two anywhere, and a byte at a time it is
 * the same body, or refused for the same reason. */
#include "fuzz.h"

struct result {
    int end;          /* HTTP_MORE, HTTP_TRAILERS or an http_error */
    size_t taken, length;
    char *data;
};

/* Feeds bytes[from..to), as much as is wanted of it. */
static void feed(struct http_chunks *c, struct result *r, const char *bytes, size_t from, size_t to)
{
    char *piece = fuzz_exact(bytes + from, to - from);
    size_t at = 0, used;
    do {
        struct http_span data = {0};
        r->end = h1_parse_chunk(c, piece + at, to - from - at, &used, &data);
        check(used <= to - from - at);
        if (r->end == HTTP_DATA) {
            check(data.length > 0 && data.at + data.length == used);
            memcpy(r->data + r->length, piece + at + data.at, data.length);
            r->length += data.length;
        }
        check(r->end != HTTP_MORE || used == to - from - at);
        at += used;
    } while (r->end == HTTP_DATA);
    r->taken += at;
    free(piece);
}

static struct result decode(const char *bytes, size_t n, size_t first, size_t step)
{
    struct http_chunks c = {0};
    struct result r = {.end = HTTP_MORE, .data = malloc(n + 1)};
    check(r.data);
    for (size_t from = 0, to = first; r.end == HTTP_MORE && from < n; from = to, to += step)
        feed(&c, &r, bytes, from, to = base_min(to, n));
    return r;
}

static void compare(const struct result *whole, struct result r)
{
    check(r.end == whole->end && r.length == whole->length && r.taken == whole->taken);
    check(memcmp(r.data, whole->data, r.length) == 0);
    free(r.data);
}

/* Its fields lie inside, one behind the other, and the last is the empty line. */
static void check_fields(const char *bytes, size_t n)
{
    struct http_field f = {.name.length = 1};
    for (size_t at = 0, from = 0; at < n; from = at) {
        check(f.name.length > 0);
        check(h1_parse_trailer(&f, bytes, n, &at) == 1 && at > from && at <= n);
        check(f.name.length == 0 || (f.name.at == from && f.value.at > from && f.value.at + f.value.length + 2 <= at));
    }
    check(f.name.length == 0);
}

/* The trailer section, if it is valid; every prefix of that is incomplete. Its length, or 0. */
static size_t trailers(const char *bytes, size_t n)
{
    char *exact = fuzz_exact(bytes, n);
    int got = h1_parse_trailers(exact, n);
    check(got <= (int)n);
    for (int k = 0; k < got; k++)
        check(h1_parse_trailers(exact, (size_t)k) == HTTP_INCOMPLETE);
    if (got > 0)
        check_fields(exact, (size_t)got);
    free(exact);
    return got > 0 ? (size_t)got : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    const char *bytes = (const char *)input;
    struct result whole = decode(bytes, n, n, n);
    for (size_t cut = 1; cut < base_min(n, 200); cut++)
        compare(&whole, decode(bytes, n, cut, n));
    if (n > 0)
        compare(&whole, decode(bytes, n, 1, 1));
    size_t rest = whole.end == HTTP_TRAILERS ? trailers(bytes + whole.taken, n - whole.taken) : 0;
    if (rest > 0)
        differ_chunks(bytes, whole.taken + rest, whole.data, whole.length);
    free(whole.data);
    return 0;
}
