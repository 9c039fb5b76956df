/* SPDX-License-Identifier: MIT */
/* h1_scan.h - finds the end of a run of bytes of one class; long runs are scanned sixteen bytes at a time if the
 * compiler has such registers. Inline: parsing a head is little else.
 *
 * Called by h1_parse and h1_fold. Nothing is read past the n bytes. */
#ifndef MOONPARK_H1_SCAN_H
#define MOONPARK_H1_SCAN_H

#include "base/base.h"

#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

enum { TOKEN = 1, TARGET = 2, VALUE = 4, HEX = 8, HOST = 16, SCHEME = 32 };

extern const uint8_t h1_scan_classes[256];

static inline bool is(char c, uint8_t class) { return h1_scan_classes[(uint8_t)c] & class; }

static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

static inline size_t span_of(const char *bytes, size_t n, size_t at, uint8_t class)
{
    while (at < n && is(bytes[at], class))
        at++;
    return at;
}

static inline bool all(const char *bytes, size_t n, uint8_t class) { return span_of(bytes, n, 0, class) == n; }

/* The first lane that is not 0; 16 if all are 0. */
static inline size_t first(bytes16 lanes)
{
    words2 w = (words2)lanes;
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        return w[0] ? (size_t)__builtin_clzll(w[0]) / 8 : w[1] ? 8 + (size_t)__builtin_clzll(w[1]) / 8 : 16;
    return w[0] ? (size_t)__builtin_ctzll(w[0]) / 8 : w[1] ? 8 + (size_t)__builtin_ctzll(w[1]) / 8 : 16;
}

static inline bytes16 no_value(bytes16 v) { return (bytes16)(((v < 0x20) & (v != '\t')) | (v == 0x7f)); }

static inline bytes16 no_target(bytes16 v)
{
    return (bytes16)((v <= ' ') | (v >= 0x7f) | (v == '"') | (v == '#') | (v == '<') | (v == '>'));
}

/* Where a run that starts at `at` ends: the bytes that `no` lets pass. The last lanes overlap bytes before them; fewer
 * than sixteen bytes are checked one by one against `class`. */
static inline size_t end_of_run(const char *bytes, size_t n, size_t at, bytes16 (*no)(bytes16 v), uint8_t class)
{
    static const bytes16 numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    bytes16 v;
    size_t hit;
    for (; n - at >= sizeof v; at += sizeof v) {
        memcpy(&v, bytes + at, sizeof v);
        if ((hit = first(no(v))) < sizeof v)
            return at + hit;
    }
    if (at == n || n < sizeof v)
        return span_of(bytes, n, at, class);
    size_t from = n - sizeof v;
    memcpy(&v, bytes + from, sizeof v);
    return from + first(no(v) & (bytes16)(numbers >= (uint8_t)(at - from)));
}

/* The end of a run of bytes that are allowed in a value, and in a target. */
static inline size_t end_of_value(const char *bytes, size_t n, size_t at)
{
    return end_of_run(bytes, n, at, no_value, VALUE);
}

static inline size_t end_of_target(const char *bytes, size_t n, size_t at)
{
    return end_of_run(bytes, n, at, no_target, TARGET);
}

#endif
