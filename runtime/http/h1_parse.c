/* SPDX-License-Identifier: MIT */
/* h1_parse.c - one pass over the head, a line at a time. Never reads past the n bytes, not even bytes that it would
 * ignore. */
#include "http/h1_parse.h"

#include "http/h1_scan.h"

#include <string.h>

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

static bool same(const char *bytes, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (word[i] == '\0' || lower(bytes[i]) != word[i])
            return false;
    return word[n] == '\0';
}

/* ---- the reader: where in which bytes ---- */

struct reader {
    const char *bytes;
    size_t n, at;
};

static struct http_span span(size_t from, size_t to)
{
    return (struct http_span){.at = (uint32_t)from, .length = (uint32_t)(to - from)};
}

/* CR LF at `at`: 1 and behind it; HTTP_INCOMPLETE; or HTTP_BAD_LINE_END where what is there begins a line's end. */
static int take_line_end(struct reader *r, int otherwise)
{
    if (r->at >= r->n)
        return HTTP_INCOMPLETE;
    if (r->bytes[r->at] == '\n')
        return HTTP_BAD_LINE_END;
    if (r->bytes[r->at] != '\r')
        return otherwise;
    if (r->at + 1 >= r->n)
        return HTTP_INCOMPLETE;
    if (r->bytes[r->at + 1] != '\n')
        return HTTP_BAD_LINE_END;
    r->at += 2;
    return 1;
}

static int take_space(struct reader *r, int otherwise)
{
    if (r->at >= r->n)
        return HTTP_INCOMPLETE;
    if (r->bytes[r->at] == '\r' || r->bytes[r->at] == '\n')
        return take_line_end(r, otherwise) == HTTP_INCOMPLETE ? HTTP_INCOMPLETE : otherwise;
    if (r->bytes[r->at] != ' ')
        return otherwise;
    r->at++;
    return 1;
}

/* RFC 9112 2.2: empty lines before a request are skipped. More than a few are no accident. */
static int skip_empty_lines(struct reader *r)
{
    for (int i = 0; i < 4; i++) {
        if (r->at < r->n && r->bytes[r->at] != '\r' && r->bytes[r->at] != '\n')
            return 1;
        int got = take_line_end(r, HTTP_BAD_METHOD);
        if (got <= 0)
            return got;
    }
    return r->at < r->n ? 1 : HTTP_INCOMPLETE;
}

/* "HTTP/1.x". Returns 1, past it. */
static int take_version(struct reader *r, struct http_head *h)
{
    static const char pattern[] = "HTTP/d.d";
    if (r->n - r->at >= 8 && memcmp(r->bytes + r->at, "HTTP/1.1", 8) == 0) { /* nearly always */
        h->minor = 1;
        r->at += 8;
        return 1;
    }
    for (size_t i = 0; i < sizeof pattern - 1; i++) {
        if (r->at + i >= r->n)
            return HTTP_INCOMPLETE;
        char c = r->bytes[r->at + i];
        if (pattern[i] == 'd' ? c < '0' || c > '9' : c != pattern[i])
            return HTTP_BAD_VERSION;
    }
    if (r->bytes[r->at + 5] != '1')
        return HTTP_VERSION;
    h->minor = (uint8_t)(r->bytes[r->at + 7] - '0');
    r->at += sizeof pattern - 1;
    return 1;
}

/* ---- what fields mean ---- */

/* Of a token: setting one bit makes capitals small, and turns no other byte of a token into a letter or '-'. */
static bool is_name(const char *token, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if ((token[i] | 0x20) != name[i])
            return false;
    return true;
}

enum http_id h1_parse_id(const char *name, size_t n)
{
    static const struct {
        char name[20];
        enum http_id id;
    } known[20] = {
        [4] = {"host", HTTP_HOST},        [6] = {"expect", HTTP_EXPECT},
        [7] = {"upgrade", HTTP_UPGRADE},  [10] = {"connection", HTTP_CONNECTION},
        [14] = {"content-length", HTTP_CONTENT_LENGTH},
        [17] = {"transfer-encoding", HTTP_TRANSFER_ENCODING},
    }; /* by length: no two of these have the same */
    return n < ARRAY_LEN(known) && known[n].name[0] && is_name(name, n, known[n].name) ? known[n].id : HTTP_OTHER;
}

/* "[" IPv6address "]", RFC 3986 3.2.2: where it ends, or 0. Whether the address exists is asked when it is used. The
 * brackets of a future version ("[v1.x]") mean nothing to anybody yet, and zones have no place in a message. */
static size_t end_of_literal(const char *s, size_t n)
{
    size_t at = 1;
    int colons = 0;
    for (; at < n && (is(s[at], HEX) || s[at] == ':' || s[at] == '.'); at++)
        colons += s[at] == ':';
    return colons >= 2 && at < n && s[at] == ']' ? at + 1 : 0;
}

/* 3.2.3: digits, or none. No port has a number over 65535. */
static bool is_port(const char *s, size_t n)
{
    int number = 0;
    for (size_t at = 0; at < n; at++) {
        if (n > 5 || s[at] < '0' || s[at] > '9')
            return false;
        number = number * 10 + (s[at] - '0');
    }
    return number <= UINT16_MAX;
}

/* host [":" port]. Not empty: RFC 9110 4.2.1. No user information: it has no place here, and hides the host from people
 * (4.2.4). No '%' in a name: it is not needed, and readers that decode it see another host than those that do not. */
static bool is_authority(const char *s, size_t n)
{
    if (n == 0)
        return false;
    size_t at = s[0] == '[' ? end_of_literal(s, n) : span_of(s, n, 0, HOST);
    return at > 0 && (at == n || (s[at] == ':' && is_port(s + at + 1, n - at - 1)));
}

/* RFC 9112 3.2: HTTP/1.1 requires exactly one, and a valid one. It may be empty (RFC 9110 7.2): the request is for
 * whichever host is the default. If the target has an authority, a Host that differs is ignored, as 3.2.2 demands: to
 * learn the host, ask for the authority, never for the field. */
static int read_host(struct http_head *h, const char *value, struct http_span at)
{
    if (h->hosts++ > 0 || (at.length > 0 && !is_authority(value, at.length)))
        return HTTP_BAD_HOST;
    if (h->authority.length == 0)
        h->authority = at;
    return 1;
}

/* Once, one number. RFC 9110 8.6 lets a recipient accept equal numbers in a list or in several fields, and lets it
 * refuse them. They are refused, in responses too: a proxy that forwards the fields as they came would pass on what its
 * own client has to refuse. Eighteen digits are more than any file has. */
static int read_length(struct http_head *h, const char *value, size_t n)
{
    int64_t length = 0;
    if (h->lengths++ > 0 || n == 0 || n > 18)
        return HTTP_BAD_LENGTH;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return HTTP_BAD_LENGTH;
        length = length * 10 + (value[i] - '0');
    }
    h->content_length = length;
    return 1;
}

/* The next element of a comma-separated list of tokens; false at its end. *ok: it is one. */
static bool next_token(const char *value, size_t n, size_t *at, struct http_span *token, bool *ok)
{
    while (*at < n && (value[*at] == ' ' || value[*at] == '\t' || value[*at] == ','))
        (*at)++;
    if (*at >= n)
        return false;
    size_t from = *at, end = span_of(value, n, from, TOKEN);
    *token = span(from, end);
    *at = end;
    while (*at < n && (value[*at] == ' ' || value[*at] == '\t'))
        (*at)++;
    *ok = end > from && (*at == n || value[*at] == ',');
    return true;
}

/* RFC 9112 6.1: "chunked" alone is understood. A list that ends in it is well-formed, but has codings that we do not
 * know. Everything else leaves the length of a request unclear: chunked twice or in the middle, parameters, empty
 * elements, a second field. Several fields of a response are one list, RFC 9110 5.3; where its codings do not end in
 * chunked the body ends with the connection, 6.3. */
static int read_coding(struct http_head *h, const char *value, size_t n)
{
    size_t at = 0;
    struct http_span token = {0};
    bool ok, request = h->status == 0;
    int count = 0;
    if (h->codings++ > 0 && request)
        return HTTP_BAD_CODING;
    for (; next_token(value, n, &at, &token, &ok); count++) {
        bool chunks = same(value + token.at, token.length, "chunked");
        if (!ok || (chunks && h->has_chunks))
            return HTTP_BAD_CODING;
        h->coded |= h->chunked || (!chunks && !same(value + token.at, token.length, "identity"));
        h->has_chunks |= chunks;
        h->chunked = chunks;
    }
    if (count == 0 || (request && !h->chunked) || (count == 1 && token.length != n))
        return HTTP_BAD_CODING;
    return request && count > 1 ? HTTP_CODING : 1;
}

/* RFC 9110 7.6.1: a list of tokens, which may have empty elements. What is no token is refused: some readers take
 * "close;x" for a close. */
static int read_connection(struct http_head *h, const char *value, size_t n)
{
    size_t at = 0;
    struct http_span token;
    bool ok;
    while (next_token(value, n, &at, &token, &ok)) {
        const char *word = value + token.at;
        if (!ok)
            return HTTP_BAD_VALUE;
        h->close |= same(word, token.length, "close");
        h->keep_alive |= same(word, token.length, "keep-alive");
        h->upgrade |= same(word, token.length, "upgrade");
    }
    return 1;
}

/* RFC 9110 10.1.1. HTTP/1.0 does not have Expect: there it is ignored. */
static int read_expect(struct http_head *h, const char *value, size_t n)
{
    if (h->minor == 0)
        return 1;
    h->expect = same(value, n, "100-continue");
    return h->expect ? 1 : HTTP_EXPECTATION;
}

/* Host and Expect belong to requests; in a response they are fields like others. */
static int read_field(struct http_head *h, const char *bytes, const struct http_field *f, bool *upgrades)
{
    const char *value = bytes + f->value.at;
    size_t n = f->value.length;
    bool request = h->status == 0;
    switch (h1_parse_id(bytes + f->name.at, f->name.length)) {
    case HTTP_HOST: return request ? read_host(h, value, f->value) : 1;
    case HTTP_CONTENT_LENGTH: return read_length(h, value, n);
    case HTTP_TRANSFER_ENCODING: return read_coding(h, value, n);
    case HTTP_CONNECTION: return read_connection(h, value, n);
    case HTTP_UPGRADE: *upgrades |= n > 0; return 1;
    case HTTP_EXPECT: return request ? read_expect(h, value, n) : 1;
    default: return 1;
    }
}

/* ---- fields ---- */

/* One "name: value" line. Returns 1, past it. */
static int take_field(struct reader *r, struct http_field *f)
{
    size_t from = r->at, to = span_of(r->bytes, r->n, from, TOKEN);
    if (to >= r->n)
        return HTTP_INCOMPLETE;
    if (to == from || r->bytes[to] != ':')
        return r->bytes[to] == '\n' ? HTTP_BAD_LINE_END : HTTP_BAD_FIELD;
    f->name = span(from, to);
    from = to + 1;
    while (from < r->n && is_blank(r->bytes[from]))
        from++;
    r->at = to = end_of_value(r->bytes, r->n, from);
    int got = take_line_end(r, HTTP_BAD_VALUE);
    if (got <= 0)
        return got;
    while (to > from && is_blank(r->bytes[to - 1]))
        to--;
    f->value = span(from, to);
    return 1;
}

/* All fields and the empty line. Returns 1, past it. */
static int take_fields(struct reader *r, struct http_head *h)
{
    for (;;) {
        if (r->at >= r->n)
            return HTTP_INCOMPLETE;
        if (r->bytes[r->at] == '\r' || r->bytes[r->at] == '\n')
            return take_line_end(r, HTTP_BAD_FIELD);
        if (h->count == HTTP_FIELDS_MAX)
            return HTTP_TOO_MANY;
        int got = take_field(r, &h->fields[h->count]);
        if (got <= 0)
            return got;
        h->count++;
    }
}

/* RFC 9110 7.8: HTTP/1.0 cannot ask for an upgrade. RFC 9112 6.1: it has no codings either, whichever way the message
 * goes; and a length beside a coding is what smuggling is made of. */
static int read_fields(struct http_head *h, const char *bytes)
{
    bool upgrades = false;
    for (int i = 0; i < h->count; i++) {
        int got = read_field(h, bytes, &h->fields[i], &upgrades);
        if (got <= 0)
            return got;
    }
    h->upgrade &= upgrades && h->minor > 0;
    return h->codings > 0 && (h->lengths > 0 || h->minor == 0) ? HTTP_BAD_CODING : 1;
}

/* ---- requests ---- */

static void split_query(struct http_head *h, const char *bytes, size_t from, size_t to)
{
    const char *mark = memchr(bytes + from, '?', to - from);
    size_t end = mark ? (size_t)(mark - bytes) : to;
    h->path = span(from, end);
    h->has_query = mark != NULL;
    h->query = mark ? span(end + 1, to) : span(to, to);
}

/* http://authority/path?query. Its path may be missing: then it is "/", or "*" for OPTIONS; both are left empty. Other
 * schemes are for other servers. */
static bool split_absolute(struct http_head *h, const char *bytes, size_t from, size_t to)
{
    size_t scheme = span_of(bytes, to, from, SCHEME), host = scheme + 3;
    if (scheme == from || host > to || memcmp(bytes + scheme, "://", 3) != 0)
        return false;
    if (!same(bytes + from, scheme - from, "http") && !same(bytes + from, scheme - from, "https"))
        return false;
    size_t end = host;
    while (end < to && bytes[end] != '/' && bytes[end] != '?')
        end++;
    if (!is_authority(bytes + host, end - host))
        return false;
    h->authority = span(host, end);
    split_query(h, bytes, end, to);
    return true;
}

static bool is_method(const struct http_head *h, const char *bytes, const char *word)
{
    return h->method.length == strlen(word) && memcmp(bytes + h->method.at, word, h->method.length) == 0;
}

/* RFC 9110 9.3.6: the target of a CONNECT is a host and a port, which is neither left out nor 0. */
static bool has_port(const char *s, size_t n)
{
    size_t at = n;
    bool some = false;
    while (at > 0 && s[at - 1] >= '0' && s[at - 1] <= '9')
        some |= s[--at] != '0';
    return some && at > 0 && s[at - 1] == ':';
}

/* RFC 9112 3.2. Whether two digits follow a '%' is checked when the target is decoded, which not all readers do. */
static int read_target(struct http_head *h, const char *bytes)
{
    size_t from = h->target.at, to = from + h->target.length;
    const char *target = bytes + from;
    if (is_method(h, bytes, "CONNECT")) {
        h->form = HTTP_AUTHORITY;
        h->authority = h->target;
        h->path = h->query = span(to, to);
        return is_authority(target, to - from) && has_port(target, to - from) ? 1 : HTTP_BAD_TARGET;
    }
    if (target[0] == '/') {
        h->form = HTTP_ORIGIN;
        split_query(h, bytes, from, to);
        return 1;
    }
    if (h->target.length == 1 && target[0] == '*') {
        h->form = HTTP_ASTERISK;
        h->path = h->target;
        h->query = span(to, to);
        return is_method(h, bytes, "OPTIONS") ? 1 : HTTP_BAD_TARGET;
    }
    h->form = HTTP_ABSOLUTE;
    return split_absolute(h, bytes, from, to) ? 1 : HTTP_BAD_TARGET;
}

/* One space between the parts, RFC 9112 3: more of it, or other white space, lets targets with spaces slip through. */
static int take_request_line(struct reader *r, struct http_head *h)
{
    int got = skip_empty_lines(r);
    if (got <= 0)
        return got;
    size_t from = r->at;
    r->at = span_of(r->bytes, r->n, from, TOKEN);
    h->method = span(from, r->at);
    got = r->at == from ? HTTP_BAD_METHOD : take_space(r, HTTP_BAD_METHOD);
    if (got <= 0)
        return got;
    from = r->at;
    r->at = end_of_target(r->bytes, r->n, from);
    h->target = span(from, r->at);
    got = r->at == from && r->at < r->n ? HTTP_BAD_TARGET : take_space(r, HTTP_BAD_TARGET);
    if (got <= 0)
        return got;
    got = take_version(r, h);
    return got <= 0 ? got : take_line_end(r, HTTP_BAD_VERSION);
}

static void begin(struct http_head *h)
{
    memset(h, 0, offsetof(struct http_head, fields));
    h->content_length = -1;
}

static int finish_request(struct http_head *h, const char *bytes)
{
    int got = read_target(h, bytes);
    if (got > 0)
        got = read_fields(h, bytes);
    if (got > 0 && h->minor > 0 && h->hosts == 0)
        got = HTTP_BAD_HOST;
    return got;
}

int h1_parse_request(struct http_head *h, const char *bytes, size_t n)
{
    struct reader r = {.bytes = bytes, .n = base_min(n, INT32_MAX)};
    begin(h);
    int got = take_request_line(&r, h);
    if (got > 0)
        got = take_fields(&r, h);
    if (got > 0)
        got = finish_request(h, bytes);
    h->length = (uint32_t)r.at;
    return got > 0 ? (int)r.at : got;
}

/* ---- responses ---- */

/* Three digits, 100 to 999 (RFC 9110 15: of those above 599 a client treats only the first digit as known). */
static int take_status(struct reader *r, struct http_head *h)
{
    for (int i = 0; i < 3; i++) {
        if (r->at >= r->n)
            return HTTP_INCOMPLETE;
        char c = r->bytes[r->at++];
        if (c < '0' + (i == 0) || c > '9')
            return HTTP_BAD_STATUS;
        h->status = (uint16_t)(h->status * 10 + (c - '0'));
    }
    return 1;
}

/* RFC 9112 4 requires a space after the status even if no reason follows. Many servers leave it out then, which no
 * reader misunderstands. */
static int take_status_line(struct reader *r, struct http_head *h)
{
    int got = take_version(r, h);
    if (got > 0)
        got = take_space(r, HTTP_BAD_STATUS);
    if (got > 0)
        got = take_status(r, h);
    if (got <= 0)
        return got;
    size_t from = r->at;
    if (r->at < r->n && r->bytes[r->at] == ' ') {
        from++;
        r->at = end_of_value(r->bytes, r->n, from);
    }
    h->reason = span(from, r->at);
    return take_line_end(r, HTTP_BAD_STATUS);
}

int h1_parse_response(struct http_head *h, const char *bytes, size_t n)
{
    struct reader r = {.bytes = bytes, .n = base_min(n, INT32_MAX)};
    begin(h);
    int got = take_status_line(&r, h);
    if (got > 0)
        got = take_fields(&r, h);
    if (got > 0)
        got = read_fields(h, bytes);
    h->until_end = !h->chunked && h->content_length < 0;
    h->length = (uint32_t)r.at;
    return got > 0 ? (int)r.at : got;
}

/* ---- what was incomplete ---- */

bool h1_parse_has_end(const char *bytes, size_t n, size_t searched)
{
    for (size_t at = searched; at < n; at++) {
        const char *lf = memchr(bytes + at, '\n', n - at);
        if (!lf)
            return false;
        at = (size_t)(lf - bytes);
        if (at == 0 || bytes[at - 1] != '\r')
            return true; /* a bare one: it will be refused */
        if (at >= 3 && bytes[at - 2] == '\n')
            return true;
    }
    return false;
}

/* ---- trailers ---- */

/* RFC 9110 6.5.1: fields that frame or route a message may not come after it. Other fields that should not be there do
 * no harm, because trailers are never mixed with the fields of the head. */
int h1_parse_trailer(struct http_field *f, const char *bytes, size_t n, size_t *at)
{
    struct reader r = {.bytes = bytes, .n = base_min(n, INT32_MAX), .at = *at};
    *f = (struct http_field){.name = span(r.at, r.at)};
    bool ends = r.at >= r.n || bytes[r.at] == '\r' || bytes[r.at] == '\n';
    int got = ends ? take_line_end(&r, HTTP_BAD_FIELD) : take_field(&r, f);
    if (got > 0 && h1_parse_id(bytes + f->name.at, f->name.length) != HTTP_OTHER)
        got = HTTP_BAD_TRAILER;
    *at = r.at;
    return got;
}

int h1_parse_trailers(const char *bytes, size_t n)
{
    struct http_field f;
    size_t at = 0;
    int got;
    do
        got = h1_parse_trailer(&f, bytes, n, &at);
    while (got > 0 && f.name.length > 0);
    return got > 0 ? (int)at : got;
}

/* ---- what names and values may be made of ---- */

bool h1_parse_is_token(const char *bytes, size_t n) { return n > 0 && all(bytes, n, TOKEN); }
bool h1_parse_is_value(const char *bytes, size_t n) { return end_of_value(bytes, n, 0) == n; }
