/* SPDX-License-Identifier: MIT */
/* target.c - the bytes are a request's target, and then something that is percent-encoded. */
#include "fuzz.h"
#include "http/http_form.h"

static void as_target(const char *method, const char *bytes, size_t n)
{
    static struct http_head h;
    char *text = malloc(n + 64);
    check(text);
    int before = sprintf(text, "%s ", method);
    memcpy(text + before, bytes, n);
    int behind = sprintf(text + before + n, " HTTP/1.1\r\nHost: field\r\n\r\n");
    size_t length = (size_t)(before + behind) + n;
    if (h1_parse_request(&h, text, length) == (int)length && !memchr(bytes, ' ', n)) { /* else: a head of its own */
        check(h.target.at == (uint32_t)before && h.target.length == n);
        bool own = h.form == HTTP_ABSOLUTE || h.form == HTTP_AUTHORITY;
        check(own == (h.authority.at < h.target.at + n) && h.authority.length > 0);
        check(!memchr(text + h.path.at, '?', h.path.length) && (h.has_query || h.query.length == 0));
        check(h.path.length + h.query.length + h.has_query <= n);
        check((h.form != HTTP_ORIGIN && h.form != HTTP_ABSOLUTE) ||
              h.query.at + h.query.length == h.target.at + h.target.length);
        for (size_t i = 0; i < n; i++)
            check(bytes[i] > ' ' && bytes[i] < 0x7f && !strchr("\"#<>", bytes[i]));
        for (size_t i = 0; own && i < h.authority.length; i++)
            check(!strchr("@/?\\%", text[h.authority.at + i]));
    }
    free(text);
}

static size_t encode(char *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sprintf(to + 3 * i, "%%%02X", (unsigned char)bytes[i]);
    return 3 * n;
}

/* Decoded in place and elsewhere it is the same, no longer than before; encoded, it decodes to itself. */
static void as_percent(const char *input, size_t n, bool plus)
{
    char *bytes = fuzz_exact(input, n), *out = malloc(3 * n + 1), *encoded = malloc(3 * n + 1);
    check(out && encoded);
    ptrdiff_t got = http_form_decode(out, bytes, n, plus);
    check(got <= (ptrdiff_t)n && (got >= 0 || memchr(bytes, '%', n)));
    if (got >= 0) {
        check(http_form_decode(bytes, bytes, n, plus) == got && memcmp(bytes, out, (size_t)got) == 0);
        size_t length = encode(encoded, bytes, (size_t)got);
        check(http_form_decode(out, encoded, length, plus) == got && memcmp(bytes, out, (size_t)got) == 0);
    }
    free(bytes);
    free(out);
    free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static const char *const methods[] = {"GET", "CONNECT", "OPTIONS"};
    const char *bytes = (const char *)input;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        as_target(methods[i], bytes, n);
    as_percent(bytes, n, false);
    as_percent(bytes, n, true);
    return 0;
}
