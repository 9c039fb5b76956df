/* SPDX-License-Identifier: MIT */
/* http_limits.c - what is decided from a head alone, and from how many came before it. */
#include "http/http_limits.h"

int http_limits_refusal(const struct http_limits *most, const struct http_head *h)
{
    if (h->form == HTTP_AUTHORITY)
        return !most->connect ? 405 : h->chunked || h->content_length > 0 ? 400 : 0;
    return h->content_length > 0 && (uint64_t)h->content_length > most->body ? 413 : 0;
}

bool http_limits_another(const struct http_limits *most, uint32_t n)
{
    return most->requests == 0 || n < most->requests;
}
