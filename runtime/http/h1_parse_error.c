/* SPDX-License-Identifier: MIT */
/* h1_parse_error.c - for a refused message: the status for its sender, and the words for the log. */
#include "http/h1_parse.h"

#include <string.h>

static const struct {
    int error, status;
    const char *words;
} errors[] = {
    {HTTP_BAD_LINE_END, 400, "bare CR or LF"},
    {HTTP_BAD_METHOD, 400, "invalid method"},
    {HTTP_BAD_TARGET, 400, "invalid target"},
    {HTTP_BAD_VERSION, 400, "invalid version"},
    {HTTP_BAD_FIELD, 400, "invalid field name"},
    {HTTP_BAD_VALUE, 400, "invalid field value"},
    {HTTP_BAD_HOST, 400, "invalid host"},
    {HTTP_BAD_LENGTH, 400, "invalid content-length"},
    {HTTP_BAD_CODING, 400, "invalid transfer-encoding"},
    {HTTP_BAD_CHUNK, 400, "invalid chunk"},
    {HTTP_BAD_STATUS, 400, "invalid status line"},
    {HTTP_BAD_TRAILER, 400, "invalid trailer"},
    {HTTP_TOO_MANY, 431, "too many fields"},
    {HTTP_VERSION, 505, "version not supported"},
    {HTTP_CODING, 501, "transfer coding not supported"},
    {HTTP_EXPECTATION, 417, "expectation failed"},
    {HTTP_LONG_TARGET, 414, "target too long"},
    {HTTP_LONG_METHOD, 501, "method too long"},
};

/* Where the first line of a request begins, behind empty ones. */
static size_t begin_of(const char *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && (bytes[at] == '\r' || bytes[at] == '\n'))
        at++;
    return at;
}

/* RFC 9112 3: a method that is longer than any we know is 501, a target that is longer than we take 414. One limit is
 * for all of the head: the target is to blame where its line has more than half of that. */
int h1_parse_overlong(const char *bytes, size_t n)
{
    size_t from = begin_of(bytes, n);
    const char *end = memchr(bytes + from, '\n', n - from);
    if (!memchr(bytes + from, ' ', n - from))
        return HTTP_LONG_METHOD;
    return end && (size_t)(end - bytes) <= n / 2 ? HTTP_TOO_MANY : HTTP_LONG_TARGET;
}

bool h1_parse_is_to_head(const char *bytes, size_t n)
{
    size_t from = begin_of(bytes, n);
    return n - from >= 5 && memcmp(bytes + from, "HEAD ", 5) == 0;
}

int h1_parse_status(int error)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].error == error)
            return errors[i].status;
    return 400;
}

const char *h1_parse_words(int error)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].error == error)
            return errors[i].words;
    return "malformed message";
}
