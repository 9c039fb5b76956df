/* SPDX-License-Identifier: MIT */
/* response.c - the bytes are the head of a response, which may have folds. */
#include "head.h"

#include "http/h1_fold.h"

/* The next byte that is neither a blank nor of a line's end. */
static size_t next_text(const char *bytes, size_t n, size_t at)
{
    while (at < n && strchr(" \t\r\n", bytes[at]) && bytes[at])
        at++;
    return at;
}

/* Only white space changes, only where there was a fold, and what comes out has none. */
static void check_folds(const uint8_t *input, size_t n)
{
    static struct http_head h;
    char *bytes = fuzz_exact(input, n), *changed = fuzz_exact(input, n);
    int plain = h1_parse_response(&h, bytes, n), got = h1_fold_response(&h, changed, n);
    bool same = memcmp(bytes, changed, n) == 0;
    check(plain == HTTP_BAD_FIELD || (got == plain && same));
    check(got != HTTP_INCOMPLETE || same);
    for (size_t a = 0, b = 0; a < n || b < n; a++, b++) {
        a = next_text(bytes, n, a);
        b = next_text(changed, n, b);
        check(a == n ? b == n : b < n && bytes[a] == changed[b]);
    }
    if (got > 0) {
        check(h1_parse_response(&h, changed, n) == got && memcmp(bytes + got, changed + got, n - (size_t)got) == 0);
        head_run(h1_parse_response, (const uint8_t *)changed, n, false);
    }
    free(bytes);
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    check_folds(bytes, n);
    return head_run(h1_parse_response, bytes, n, false);
}
