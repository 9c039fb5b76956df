/* SPDX-License-Identifier: MIT */
/* http_parse.c - one pass over the head, a line at a time; long runs are looked at sixteen bytes at once where the
 * compiler has such registers. Nothing is read behind the n bytes, not even to be thrown away. */
#include "http_parse.h"

#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

/* ---- classes of bytes ---- */

enum { TOKEN = 1, TARGET = 2, VALUE = 4, HEX = 8, HOST = 16, SCHEME = 32 };

#define ALNUM (TOKEN | TARGET | VALUE | HOST | SCHEME)
#define MARK (TOKEN | TARGET | VALUE)
#define SEEN (TARGET | VALUE)

/* A target has no '"', '#', '<', '>': no client may send them, and a '#' would hide what is behind it from some. The
 * other bytes that RFC 3986 wants encoded are sent by browsers as they are. */
static const uint8_t classes[256] = {
    ['\t'] = VALUE, [' '] = VALUE,
    ['!'] = MARK | HOST, ['"'] = VALUE, ['#'] = TOKEN | VALUE, ['$'] = MARK | HOST, ['%'] = MARK | HOST,
    ['&'] = MARK | HOST, ['\''] = MARK | HOST, ['('] = SEEN | HOST, [')'] = SEEN | HOST, ['*'] = MARK | HOST,
    ['+'] = MARK | HOST | SCHEME, [','] = SEEN | HOST, ['-'] = ALNUM, ['.'] = ALNUM, ['/'] = SEEN,
    ['0' ... '9'] = ALNUM | HEX, [':'] = SEEN, [';'] = SEEN | HOST, ['<'] = VALUE, ['='] = SEEN | HOST, ['>'] = VALUE,
    ['?'] = SEEN, ['@'] = SEEN, ['A' ... 'F'] = ALNUM | HEX, ['G' ... 'Z'] = ALNUM, ['['] = SEEN, ['\\'] = SEEN,
    [']'] = SEEN, ['^'] = MARK, ['_'] = MARK | HOST, ['`'] = MARK, ['a' ... 'f'] = ALNUM | HEX, ['g' ... 'z'] = ALNUM,
    ['{'] = SEEN, ['|'] = MARK, ['}'] = SEEN, ['~'] = MARK | HOST,
    [0x80 ... 0xff] = VALUE, /* obs-text: opaque, RFC 9110 5.5 */
};

static bool is(char c, uint8_t class) { return classes[(uint8_t)c] & class; }

static size_t span_of(const char *bytes, size_t n, size_t at, uint8_t class)
{
    while (at < n && is(bytes[at], class))
        at++;
    return at;
}

static bool all(const char *bytes, size_t n, uint8_t class) { return span_of(bytes, n, 0, class) == n; }

static bool any(bytes16 lanes)
{
    words2 w = (words2)lanes;
    return w[0] | w[1];
}

/* Where the run of bytes that a value may have ends, from `at` on. */
static size_t end_of_value(const char *bytes, size_t n, size_t at)
{
    for (bytes16 v; n - at >= sizeof v; at += sizeof v) {
        memcpy(&v, bytes + at, sizeof v);
        if (any((bytes16)(((v < 0x20) & (v != '\t')) | (v == 0x7f))))
            break;
    }
    return span_of(bytes, n, at, VALUE);
}

/* The same of a target. */
static size_t end_of_target(const char *bytes, size_t n, size_t at)
{
    for (bytes16 v; n - at >= sizeof v; at += sizeof v) {
        memcpy(&v, bytes + at, sizeof v);
        if (any((bytes16)((v <= ' ') | (v >= 0x7f) | (v == '"') | (v == '#') | (v == '<') | (v == '>'))))
            break;
    }
    return span_of(bytes, n, at, TARGET);
}

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

/* RFC 9112 2.2: empty lines in front of a request are skipped. More than a few are no accident. */
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

/* "HTTP/1.x". 1 and behind it. */
static int take_version(struct reader *r, struct http_head *h)
{
    static const char pattern[] = "HTTP/d.d";
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

enum http_id http_parse_id(const char *name, size_t n)
{
    static const struct {
        const char *name;
        enum http_id id;
    } known[32] = {
        [4] = {"host", HTTP_HOST},        [6] = {"expect", HTTP_EXPECT},
        [7] = {"upgrade", HTTP_UPGRADE},  [10] = {"connection", HTTP_CONNECTION},
        [14] = {"content-length", HTTP_CONTENT_LENGTH},
        [17] = {"transfer-encoding", HTTP_TRANSFER_ENCODING},
    }; /* by length: no two of these have the same */
    return n < ARRAY_LEN(known) && known[n].name && same(name, n, known[n].name) ? known[n].id : HTTP_OTHER;
}

/* host [":" port], RFC 3986 3.2.2 and .3; an IP literal in brackets. No user information: it has no place here. */
static bool is_authority(const char *s, size_t n)
{
    size_t at;
    if (n == 0)
        return false;
    if (s[0] == '[') {
        at = 1;
        while (at < n && (is(s[at], HOST) || s[at] == ':'))
            at++;
        if (at == 1 || at >= n || s[at] != ']')
            return false;
        at++;
    } else {
        at = span_of(s, n, 0, HOST);
        if (at == 0)
            return false;
    }
    if (at == n)
        return true;
    if (s[at++] != ':' || n - at > 5)
        return false;
    for (; at < n; at++)
        if (s[at] < '0' || s[at] > '9')
            return false;
    return true;
}

/* RFC 9110 7.2: an empty Host is allowed where the target has no authority. */
static int read_host(struct http_head *h, const char *value, struct http_span at)
{
    if (h->hosts++ > 0 || (at.length > 0 && !is_authority(value, at.length)))
        return HTTP_BAD_HOST;
    if (h->authority.length == 0)
        h->authority = at;
    return 1;
}

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

/* Chunked alone is understood. A list that ends in it is well-formed, but has codings that we do not know. */
static int read_coding(struct http_head *h, const char *value, size_t n)
{
    size_t at = 0;
    struct http_span token;
    bool ok, known = true, last = false;
    if (h->codings++ > 0)
        return HTTP_BAD_CODING;
    while (next_token(value, n, &at, &token, &ok)) {
        if (!ok || last)
            return HTTP_BAD_CODING;
        last = same(value + token.at, token.length, "chunked");
        known = known && last;
    }
    if (!last)
        return HTTP_BAD_CODING;
    h->chunked = true;
    return known && same(value, n, "chunked") ? 1 : HTTP_CODING;
}

/* Elements that are no tokens are none of ours. */
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

static int read_field(struct http_head *h, const char *bytes, const struct http_field *f, uint8_t *upgrades)
{
    const char *value = bytes + f->value.at;
    size_t n = f->value.length;
    switch (http_parse_id(bytes + f->name.at, f->name.length)) {
    case HTTP_HOST: return read_host(h, value, f->value);
    case HTTP_CONTENT_LENGTH: return read_length(h, value, n);
    case HTTP_TRANSFER_ENCODING: return read_coding(h, value, n);
    case HTTP_CONNECTION: return read_connection(h, value, n);
    case HTTP_UPGRADE: *upgrades = 1; return 1;
    case HTTP_EXPECT:
        h->expect = same(value, n, "100-continue");
        return h->expect ? 1 : HTTP_EXPECTATION;
    default: return 1;
    }
}

/* ---- fields ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* One "name: value" line. 1 and behind it. */
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

/* All fields and the empty line: 1 and behind it. */
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

static int read_fields(struct http_head *h, const char *bytes)
{
    uint8_t upgrades = 0;
    for (int i = 0; i < h->count; i++) {
        int got = read_field(h, bytes, &h->fields[i], &upgrades);
        if (got <= 0)
            return got;
    }
    h->upgrade &= upgrades;
    if (h->codings > 0 && (h->lengths > 0 || h->minor == 0))
        return HTTP_BAD_CODING; /* RFC 9112 6.1 */
    return 1;
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

/* http://authority/path?query. Its path may be missing: then it is "/", or "*" for OPTIONS; both are left empty. */
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

/* RFC 9112 3.2. */
static int read_target(struct http_head *h, const char *bytes)
{
    size_t from = h->target.at, to = from + h->target.length;
    bool connect = h->method.length == 7 && memcmp(bytes + h->method.at, "CONNECT", 7) == 0;
    if (connect) {
        h->form = HTTP_AUTHORITY;
        h->authority = h->target;
        bool port = memchr(bytes + from, ':', to - from) != NULL && bytes[to - 1] != ':' && bytes[to - 1] != ']';
        return port && is_authority(bytes + from, to - from) ? 1 : HTTP_BAD_TARGET;
    }
    if (bytes[from] == '/') {
        h->form = HTTP_ORIGIN;
        split_query(h, bytes, from, to);
        return 1;
    }
    if (h->target.length == 1 && bytes[from] == '*') {
        h->form = HTTP_ASTERISK;
        h->path = h->target;
        h->query = span(to, to);
        bool options = h->method.length == 7 && memcmp(bytes + h->method.at, "OPTIONS", 7) == 0;
        return options ? 1 : HTTP_BAD_TARGET;
    }
    h->form = HTTP_ABSOLUTE;
    return split_absolute(h, bytes, from, to) ? 1 : HTTP_BAD_TARGET;
}

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

int http_parse_request(struct http_head *h, const char *bytes, size_t n)
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

static int take_status_line(struct reader *r, struct http_head *h)
{
    int got = take_version(r, h);
    if (got > 0)
        got = take_space(r, HTTP_BAD_STATUS);
    for (int i = 0; got > 0 && i < 3; i++) {
        if (r->at >= r->n)
            return HTTP_INCOMPLETE;
        char c = r->bytes[r->at++];
        if (c < '0' || c > '9')
            return HTTP_BAD_STATUS;
        h->status = (uint16_t)(h->status * 10 + (c - '0'));
    }
    if (got <= 0)
        return got;
    if (h->status < 100)
        return HTTP_BAD_STATUS;
    if (r->at >= r->n)
        return HTTP_INCOMPLETE;
    if (r->bytes[r->at] == ' ') /* without one there is no reason either: common, and nobody misreads it */
        r->at++;
    size_t from = r->at;
    r->at = end_of_value(r->bytes, r->n, from);
    h->reason = span(from, r->at);
    return take_line_end(r, HTTP_BAD_STATUS);
}

int http_parse_response(struct http_head *h, const char *bytes, size_t n)
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

bool http_parse_has_end(const char *bytes, size_t n, size_t searched)
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

/* ---- chunks ---- */

enum { SIZE, EXTENSION, SIZE_LF, BODY, BODY_CR, BODY_LF, OVER };
enum { EXTENSION_MAX = 256, SIZE_DIGITS = 15 };

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* One byte of the line with the size: 1, or why not. */
static int take_size(struct http_chunks *c, char byte)
{
    if (c->state == SIZE_LF) {
        c->state = c->left > 0 ? BODY : OVER;
        c->digits = 0;
        return byte == '\n' ? 1 : HTTP_BAD_CHUNK;
    }
    if (c->state == SIZE && is(byte, HEX)) {
        c->left = c->left * 16 + (uint64_t)hex(byte);
        return ++c->digits <= SIZE_DIGITS ? 1 : HTTP_BAD_CHUNK;
    }
    if (c->digits == 0)
        return HTTP_BAD_CHUNK;
    if (byte == '\r') {
        c->state = SIZE_LF;
        c->extra = 0;
        return 1;
    }
    if (c->state == SIZE && byte != ';')
        return HTTP_BAD_CHUNK;
    c->state = EXTENSION;
    return is(byte, VALUE) && ++c->extra <= EXTENSION_MAX ? 1 : HTTP_BAD_CHUNK;
}

/* One byte behind the data. */
static int take_data_end(struct http_chunks *c, char byte)
{
    if (byte != (c->state == BODY_CR ? '\r' : '\n'))
        return HTTP_BAD_CHUNK;
    c->state = c->state == BODY_CR ? BODY_LF : SIZE;
    return 1;
}

int http_parse_chunk(struct http_chunks *c, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    *used = 0;
    while (*used < n && c->state != OVER && c->state != BODY) {
        char byte = bytes[(*used)++];
        int got = c->state >= BODY_CR ? take_data_end(c, byte) : take_size(c, byte);
        if (got <= 0)
            return got;
    }
    if (c->state == OVER)
        return HTTP_TRAILERS;
    if (c->state != BODY || *used == n)
        return HTTP_MORE;
    size_t length = base_min(n - *used, base_min(c->left, INT32_MAX));
    *data = span(*used, *used + length);
    *used += length;
    c->left -= length;
    if (c->left == 0)
        c->state = BODY_CR;
    return HTTP_DATA;
}

/* RFC 9110 6.5.1: what frames or routes a message has no place behind it. */
int http_parse_trailers(struct http_head *h, const char *bytes, size_t n)
{
    struct reader r = {.bytes = bytes, .n = base_min(n, INT32_MAX)};
    begin(h);
    int got = take_fields(&r, h);
    for (int i = 0; got > 0 && i < h->count; i++)
        if (http_parse_id(bytes + h->fields[i].name.at, h->fields[i].name.length) != HTTP_OTHER)
            got = HTTP_BAD_TRAILER;
    h->length = (uint32_t)r.at;
    return got > 0 ? (int)r.at : got;
}

/* ---- the rest ---- */

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
};

int http_parse_status(int error)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].error == error)
            return errors[i].status;
    return 400;
}

const char *http_parse_words(int error)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].error == error)
            return errors[i].words;
    return "malformed message";
}

bool http_parse_is_token(const char *bytes, size_t n) { return n > 0 && all(bytes, n, TOKEN); }
bool http_parse_is_value(const char *bytes, size_t n) { return end_of_value(bytes, n, 0) == n; }

ptrdiff_t http_parse_percent(char *to, const char *bytes, size_t n, bool plus)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (n - i < 3 || !is(bytes[i + 1], HEX) || !is(bytes[i + 2], HEX))
                return -1;
            c = (char)(hex(bytes[i + 1]) * 16 + hex(bytes[i + 2]));
            i += 2;
        }
        to[out++] = c;
    }
    return (ptrdiff_t)out;
}
