/* SPDX-License-Identifier: MIT */
/* fuzz.h - what the fuzz targets share: libFuzzer calls LLVMFuzzerTestOneInput with bytes, and what does not hold ends
 * the process through check(), which leaves those bytes in a file. See "Fuzz" in docs/hacking.md. */
#ifndef MOONPARK_FUZZ_H
#define MOONPARK_FUZZ_H

#include "http/h1_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define check(x) ((x) ? (void)0 : fuzz_fail(#x, __FILE__, __LINE__))

static inline _Noreturn void fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* A copy that ends where its memory does: AddressSanitizer sees a read behind it. */
static inline char *fuzz_exact(const void *bytes, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    check(copy);
    if (n > 0)
        memcpy(copy, bytes, n);
    return copy;
}

/* Does the span lie within the n bytes? */
static inline bool fuzz_inside(struct http_span s, size_t n) { return s.at <= n && s.length <= n - s.at; }

static inline bool fuzz_same(const char *a, struct http_span x, const char *b, struct http_span y)
{
    return x.length == y.length && memcmp(a + x.at, b + y.at, x.length) == 0;
}

static inline bool fuzz_is(const char *bytes, struct http_span s, const char *word)
{
    if (s.length != strlen(word))
        return false;
    for (size_t i = 0; i < s.length; i++) {
        char c = bytes[s.at + i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != word[i])
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- another parser beside ours: differ_llhttp.c, or differ_none.c where its sources are not installed ---- */

/* h was accepted, and begins the bytes. Ends the process where the other parser sees another message. */
void differ_head(const struct http_head *h, const char *bytes, bool request);

/* The n bytes are a chunked body that was accepted, trailers and all; data is what it says. */
void differ_chunks(const char *bytes, size_t n, const char *data, size_t length);

#endif
