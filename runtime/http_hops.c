/* SPDX-License-Identifier: MIT */
/* http_hops.c - tables of names, and three small grammars that are read without going back. */
#include "http_hops.h"

#include "errors.h"

#include <string.h>
#include <strings.h>

struct name {
    const char *words;
    uint8_t length;
};

#define NAME(words_) {words_, sizeof(words_) - 1}

/* RFC 9110 7.6.1, and HTTP2-Settings: an upgrade to HTTP/2 would take all further requests past the proxy. */
static const struct name hop_by_hop[] = {
    NAME("te"), NAME("trailer"), NAME("keep-alive"), NAME("proxy-connection"), NAME("proxy-authorization"),
    NAME("proxy-authentication-info"), NAME("http2-settings"),
};

static const struct name about_client[] = {
    NAME("x-forwarded-for"), NAME("x-forwarded-host"), NAME("x-forwarded-proto"), NAME("forwarded"),
};

/* What a program behind a gateway reads with '_' in place of '-', and trusts. All that begins with the first. */
static const struct name trusted[] = {
    NAME("x-forwarded-"), NAME("x-real-ip"), NAME("x-client-ip"), NAME("x-original-url"), NAME("x-rewrite-url"),
    NAME("x-http-method-override"),
};

/* ---- names ---- */

static bool is_in(const struct name *names, size_t count, const char *name, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].length == n && strncasecmp(names[i].words, name, n) == 0)
            return true;
    return false;
}

/* Does it belong to this connection, whatever the message says? */
static bool is_framing(const char *name, size_t n)
{
    return http_parse_id(name, n) != HTTP_OTHER || is_in(hop_by_hop, ARRAY_LEN(hop_by_hop), name, n);
}

/* With '-' for its '_', the name of a field that means something? */
static bool is_alias(const char *name, size_t n)
{
    char plain[64];
    if (!memchr(name, '_', n))
        return false;
    n = base_min(n, sizeof plain);
    for (size_t i = 0; i < n; i++)
        plain[i] = name[i] == '_' ? '-' : name[i];
    return is_framing(plain, n) || is_in(trusted, ARRAY_LEN(trusted), plain, n) ||
           (n > trusted[0].length && strncasecmp(plain, trusted[0].words, trusted[0].length) == 0);
}

bool http_hops_is_about_client(const char *name, size_t n)
{
    return is_in(about_client, ARRAY_LEN(about_client), name, n);
}

/* Is the name one of those that this Connection field lists? */
static bool lists(const char *value, size_t length, const char *name, size_t n)
{
    for (size_t at = 0; at < length;) {
        size_t from = at;
        while (at < length && value[at] != ',')
            at++;
        size_t to = at++;
        while (from < to && (value[from] == ' ' || value[from] == '\t'))
            from++;
        while (to > from && (value[to - 1] == ' ' || value[to - 1] == '\t'))
            to--;
        if (to - from == n && strncasecmp(value + from, name, n) == 0)
            return true;
    }
    return false;
}

int http_hops_find(struct http_hops *hops, const char *bytes, const struct http_head *head)
{
    *hops = (struct http_hops){.bytes = bytes, .head = head};
    for (int i = 0; i < head->count; i++) {
        const struct http_span *name = &head->fields[i].name, *value = &head->fields[i].value;
        if (http_parse_id(bytes + name->at, name->length) != HTTP_CONNECTION)
            continue;
        bool plain = (value->length == 10 && strncasecmp(bytes + value->at, "keep-alive", 10) == 0) ||
                     (value->length == 5 && strncasecmp(bytes + value->at, "close", 5) == 0);
        if (plain)
            continue;
        if (hops->count == HTTP_HOPS_MAX)
            return ERR_MALFORMED;
        hops->at[hops->count++] = (uint16_t)i;
    }
    return 0;
}

bool http_hops_drops(const struct http_hops *hops, const char *name, size_t n)
{
    if (is_framing(name, n) || is_alias(name, n))
        return true;
    for (int i = 0; i < hops->count; i++) {
        const struct http_span *value = &hops->head->fields[hops->at[i]].value;
        if (lists(hops->bytes + value->at, value->length, name, n))
            return true;
    }
    return false;
}

/* ---- values ---- */

/* What is being read: the next byte is text[at]. */
struct reading {
    const char *text;
    size_t at, end;
};

static bool take(struct reading *r, char c)
{
    bool there = r->at < r->end && r->text[r->at] == c;
    r->at += there;
    return there;
}

static void skip_blanks(struct reading *r)
{
    while (take(r, ' ') || take(r, '\t'))
        ;
}

/* RFC 9110 5.6.2 */
static bool take_token(struct reading *r)
{
    size_t from = r->at;
    while (r->at < r->end && http_parse_is_token(r->text + r->at, 1))
        r->at++;
    return r->at > from;
}

/* Up to `close`, in which a backslash hides the next byte; what `open` begins in there ends by itself. */
static bool take_enclosed(struct reading *r, char open, char close)
{
    for (int depth = 1; depth > 0; r->at++) {
        if (r->at >= r->end)
            return false;
        char c = r->text[r->at];
        if (c == '\\') {
            if (++r->at >= r->end)
                return false;
        } else if (c == close)
            depth--;
        else if (c == open)
            depth++;
    }
    return true;
}

static bool take_pair(struct reading *r)
{
    if (!take_token(r) || !take(r, '='))
        return false;
    return take(r, '"') ? take_enclosed(r, '"', '"') : take_token(r);
}

bool http_hops_is_forwarded(const char *value, size_t n)
{
    struct reading r = {.text = value, .end = n};
    do {
        skip_blanks(&r);
        do {
            if (r.at < r.end && r.text[r.at] != ';' && r.text[r.at] != ',' && !take_pair(&r))
                return false;
        } while (take(&r, ';'));
        skip_blanks(&r);
    } while (take(&r, ','));
    return r.at == r.end;
}

/* received-protocol RWS received-by [ RWS comment ], between commas. A host is a token here, or has a port. */
bool http_hops_is_via(const char *value, size_t n)
{
    struct reading r = {.text = value, .end = n};
    do {
        skip_blanks(&r);
        if (!take_token(&r) || (take(&r, '/') && !take_token(&r)))
            return false;
        skip_blanks(&r);
        size_t from = r.at;
        while (take_token(&r) || take(&r, ':') || take(&r, '[') || take(&r, ']'))
            ;
        if (r.at == from)
            return false;
        skip_blanks(&r);
        if (take(&r, '(') && !take_enclosed(&r, '(', ')'))
            return false;
        skip_blanks(&r);
    } while (take(&r, ','));
    return r.at == r.end;
}

bool http_hops_is_address_list(const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && !strchr(" \t,.:[]_-%", c))
            return false;
    }
    return true;
}
