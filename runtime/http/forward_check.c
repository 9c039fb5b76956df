/* SPDX-License-Identifier: MIT */
/* forward_check.c - recursive descent: each function parses its part from `at` on, and returns where that ends. */
#include "http/forward_check.h"

#include "http/h1_parse.h"
#include "http/h1_scan.h"
#include "http/http_hops.h"

#include <strings.h>

/* ---- names ---- */

static const struct {
    const char *name;
    enum http_trusted is;
} trusted[] = {
    {"x-forwarded-for", HTTP_X_FORWARDED_FOR}, {"forwarded", HTTP_FORWARDED}, {"via", HTTP_VIA},
    {"max-forwards", HTTP_MAX_FORWARDS},       {"x-real-ip", HTTP_ABOUT_CLIENT},
};

static const char x_forwarded[] = "x-forwarded-";

enum { LONGEST = 64 };

static bool is_alnum(char c)
{
    char low = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (low >= 'a' && low <= 'z');
}

static enum http_trusted plain_name(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(trusted); i++)
        if (strlen(trusted[i].name) == n && strncasecmp(trusted[i].name, name, n) == 0)
            return trusted[i].is;
    bool about = n >= sizeof x_forwarded - 1 && strncasecmp(name, x_forwarded, sizeof x_forwarded - 1) == 0;
    return about ? HTTP_ABOUT_CLIENT : HTTP_UNTRUSTED;
}

enum http_trusted forward_check_name(const char *name, size_t n)
{
    char spelled[LONGEST];
    bool odd = false;
    size_t most = base_min(n, sizeof spelled);
    for (size_t i = 0; i < most; i++) {
        bool strange = !is_alnum(name[i]) && name[i] != '-';
        spelled[i] = strange ? '-' : name[i];
        odd |= strange;
    }
    if (!odd)
        return plain_name(name, n);
    bool means = plain_name(spelled, most) != HTTP_UNTRUSTED;
    return means || (most == n && http_hops_always(spelled, n)) ? HTTP_DISGUISED : HTTP_UNTRUSTED;
}

/* ---- values ---- */

static size_t blanks(const char *s, size_t n, size_t at)
{
    while (at < n && is_blank(s[at]))
        at++;
    return at;
}

/* These say where what they are called after ends; 0: it does not stand at `at`. */
static size_t token(const char *s, size_t n, size_t at)
{
    size_t end = span_of(s, n, at, TOKEN);
    return end > at ? end : 0;
}

/* RFC 9110 5.6.4. The value holds no control bytes: it was looked at. */
static size_t quoted(const char *s, size_t n, size_t at)
{
    for (at++; at < n; at++) {
        if (s[at] == '"')
            return at + 1;
        at += s[at] == '\\';
    }
    return 0;
}

/* 5.6.5: comments nest. */
static size_t comment(const char *s, size_t n, size_t at)
{
    size_t depth = 0;
    for (; at < n; at++) {
        depth += s[at] == '(';
        depth -= s[at] == ')';
        if (depth == 0)
            return at + 1;
        at += s[at] == '\\';
    }
    return 0;
}

/* forwarded-pair = token "=" ( token / quoted-string ) */
static size_t pair(const char *s, size_t n, size_t at)
{
    at = token(s, n, at);
    if (at == 0 || at >= n || s[at] != '=')
        return 0;
    at++;
    return at < n && s[at] == '"' ? quoted(s, n, at) : token(s, n, at);
}

/* forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] ), and there is something of it */
static size_t element(const char *s, size_t n, size_t at)
{
    for (;;) {
        if (at < n && s[at] != ';')
            at = pair(s, n, at);
        if (at == 0 || at >= n || s[at] != ';')
            return at;
        at++;
        if (at >= n || s[at] == ',' || is_blank(s[at]))
            return at;
    }
}

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1", "unknown", "_hidden" */
static size_t address(const char *s, size_t n, size_t at)
{
    size_t from = at;
    while (at < n && (is_alnum(s[at]) || strchr(".:[]_-%", s[at])))
        at++;
    return at > from ? at : 0;
}

/* ( [ protocol-name "/" ] protocol-version ) RWS ( pseudonym [ ":" port ] ) [ RWS comment ]; a host that is an IPv6
 * address is taken for a pseudonym. */
static size_t hop(const char *s, size_t n, size_t at)
{
    at = token(s, n, at);
    if (at > 0 && at < n && s[at] == '/')
        at = token(s, n, at + 1);
    size_t by = at > 0 ? blanks(s, n, at) : 0;
    if (by == at)
        return 0;
    at = by;
    while (at < n && (is(s[at], TOKEN) || strchr(":[]", s[at])))
        at++;
    if (at == by)
        return 0;
    size_t more = blanks(s, n, at);
    return more < n && more > at && s[more] == '(' ? comment(s, n, more) : at;
}

/* RFC 9110 5.6.1: elements with commas between them; empty ones are let pass. */
static bool is_list(const char *s, size_t n, size_t (*one)(const char *s, size_t n, size_t at))
{
    for (size_t at = 0;;) {
        at = blanks(s, n, at);
        if (at < n && s[at] != ',' && (at = one(s, n, at)) == 0)
            return false;
        at = blanks(s, n, at);
        if (at >= n)
            return true;
        if (s[at++] != ',')
            return false;
    }
}

bool forward_check_is_good(enum http_trusted field, const char *value, size_t n)
{
    switch (field) {
    case HTTP_X_FORWARDED_FOR: return is_list(value, n, address);
    case HTTP_FORWARDED: return is_list(value, n, element);
    case HTTP_VIA: return is_list(value, n, hop);
    default: return true;
    }
}

/* ---- paths ---- */

static int digit_of(char c)
{
    char low = (char)(c | 0x20);
    return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* The byte at *at, decoded, and *at behind it; -1: a '%' without its digits. */
static int next_byte(const char *s, size_t n, size_t *at)
{
    char c = s[(*at)++];
    if (c != '%')
        return (unsigned char)c;
    if (n - *at < 2 || digit_of(s[*at]) < 0 || digit_of(s[*at + 1]) < 0)
        return -1;
    int byte = digit_of(s[*at]) * 16 + digit_of(s[*at + 1]);
    *at += 2;
    return byte;
}

/* The same, but where UTF-8 is longer than it need be, as in "%c0%ae" for a dot, what it stands for to those who let
 * that pass (RFC 3629 10). */
static int next_char(const char *s, size_t n, size_t *at)
{
    int first = next_byte(s, n, at);
    int more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf8 ? 3 : first < 0xfc ? 4 : 5;
    int c = first & (0x3f >> more);
    size_t end = *at;
    if (more == 0 || first >= 0xfe) /* these two begin nothing, in its old form of six bytes either */
        return first;
    for (int i = 0; i < more; i++) {
        int byte = end < n ? next_byte(s, n, &end) : -1;
        if (byte < 0x80 || byte >= 0xc0 || c > 1) /* it grows beyond ASCII */
            return first;
        c = c << 6 | (byte & 0x3f);
    }
    *at = end;
    return c;
}

bool forward_check_climbs(const char *path, size_t n)
{
    size_t dots = 0, others = 0;
    bool past = false; /* what ends a name to some */
    for (size_t at = 0; at < n;) {
        int c = next_char(path, n, &at);
        bool ends = c == '/' || c == '\\';
        if (c <= 0 || (ends && others == 0 && (dots == 1 || dots == 2)))
            return true;
        past = !ends && (past || c == ';' || c == '?' || c == '#');
        dots = ends ? 0 : dots + (!past && c == '.');
        others = ends ? 0 : others + (!past && c != '.' && c > ' ');
    }
    return others == 0 && (dots == 1 || dots == 2);
}
