/* SPDX-License-Identifier: MIT */
/* request.c - the bytes are the head of a request. */
#include "head.h"

/* What is asked of a head before it is understood is the same as what it says then. */
static void check_blindly(const char *bytes, size_t n)
{
    static struct http_head h;
    char *exact = fuzz_exact(bytes, n);
    int why = h1_parse_overlong(exact, n), got = h1_parse_request(&h, exact, n);
    bool to_head = h1_parse_is_to_head(exact, n);
    check(why == HTTP_TOO_MANY || why == HTTP_LONG_TARGET || why == HTTP_LONG_METHOD);
    check(got <= 0 || why != HTTP_LONG_METHOD);
    check(got <= 0 || to_head == fuzz_same(exact, h.method, "HEAD", (struct http_span){.length = 4}));
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    check_blindly((const char *)bytes, n);
    return head_run(h1_parse_request, bytes, n, true);
}
