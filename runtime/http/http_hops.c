/* SPDX-License-Identifier: MIT */
/* http_hops.c - the few fields that always concern one connection only, and those that a Connection field lists. */
#include "http/http_hops.h"

#include "http/h1_scan.h"

#include <strings.h>

struct name {
    const char *words;
    uint8_t length;
};

#define NAME(words_) {words_, sizeof(words_) - 1}

/* "Proxy" is nobody's field: CGI would take it for the variable HTTP_PROXY. */
static const struct name hop_by_hop[] = {
    NAME("te"), NAME("trailer"), NAME("keep-alive"), NAME("proxy-connection"), NAME("proxy-authorization"),
    NAME("proxy-authentication-info"), NAME("http2-settings"), NAME("proxy"),
};

static bool is_in(const struct name *names, size_t count, const char *name, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].length == n && strncasecmp(names[i].words, name, n) == 0)
            return true;
    return false;
}

bool http_hops_next(const char *value, size_t length, size_t *at, struct http_span *element)
{
    if (*at >= length)
        return false;
    size_t from = *at, to;
    while (*at < length && value[*at] != ',')
        ++*at;
    to = (*at)++;
    while (from < to && is_blank(value[from]))
        from++;
    while (to > from && is_blank(value[to - 1]))
        to--;
    *element = (struct http_span){.at = (uint32_t)from, .length = (uint32_t)(to - from)};
    return true;
}

bool http_hops_lists(const char *value, size_t length, const char *name, size_t n)
{
    struct http_span one;
    for (size_t at = 0; http_hops_next(value, length, &at, &one);)
        if (one.length == n && strncasecmp(value + one.at, name, n) == 0)
            return true;
    return false;
}

void http_hops_find(struct http_hops *hops, const char *bytes, const struct http_head *head)
{
    *hops = (struct http_hops){.bytes = bytes, .head = head};
    for (int i = 0; i < head->count; i++) {
        const struct http_span *name = &head->fields[i].name, *value = &head->fields[i].value;
        if (h1_parse_id(bytes + name->at, name->length) != HTTP_CONNECTION)
            continue;
        bool plain = (value->length == 10 && strncasecmp(bytes + value->at, "keep-alive", 10) == 0) ||
                     (value->length == 5 && strncasecmp(bytes + value->at, "close", 5) == 0);
        if (!plain && hops->count < (int)ARRAY_LEN(hops->at))
            hops->at[hops->count++] = (uint16_t)i;
        else if (!plain)
            hops->many = true;
    }
}

bool http_hops_always(const char *name, size_t n)
{
    return h1_parse_id(name, n) != HTTP_OTHER || is_in(hop_by_hop, ARRAY_LEN(hop_by_hop), name, n);
}

bool http_hops_has(const struct http_hops *hops, const char *name, size_t n)
{
    if (http_hops_always(name, n))
        return true;
    for (int i = 0; i < hops->count; i++) {
        const struct http_span *value = &hops->head->fields[hops->at[i]].value;
        if (http_hops_lists(hops->bytes + value->at, value->length, name, n))
            return true;
    }
    return false;
}
