/* SPDX-License-Identifier: MIT */
/* forwarded.c - the bytes are a path, and then the fields of a request that a proxy passes on: what it says of the
 * client stands, whatever the client has said. */
#include "fuzz.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "http/client_wire.h"
#include "http/forward_request.h"
#include "http/forward_check.h"
#include "http/http_form.h"
#include "http/http_hops.h"

#include <strings.h>

/* ---- what forward_request asks of the layers below, of a client at 192.0.2.1 ---- */

const struct limits limits = {.buffer = 64};

void base_fail(const char *what, const char *file, int line) { fuzz_fail(what, file, line); }
void *sys_realloc(void *p, size_t n) { return realloc(p, n); }
void sys_free(void *p) { free(p); }

int stream_address(const struct stream *s, enum stream_end end, struct addr *a)
{
    check(s && end == STREAM_PEER);
    *a = (struct addr){.any.sa_family = AF_INET};
    return 0;
}

size_t addr_format(const struct addr *a, char *text)
{
    (void)a;
    return (size_t)sprintf(text, "192.0.2.1:4711");
}

void http_client_begin(struct http_reader *r, bool to_head, size_t limit)
{
    (void)to_head, (void)limit;
    r->bytes.start = r->bytes.end = r->trailer.start = r->trailer.end = 0;
}

static int begin(struct buf *out, const struct http_start *s)
{
    check(s->method.length > 0 && s->prefix.length == 0 && s->path.length > 0);
    return buf_append(out, "GET / HTTP/1.1\r\n", 16);
}

static int field(struct buf *out, const char *name, size_t name_length, const char *value, size_t n)
{
    check(h1_parse_is_token(name, name_length) && h1_parse_is_value(value, n));
    char *text = malloc(name_length + n + 5);
    check(text);
    int length = sprintf(text, "%.*s: %.*s\r\n", (int)name_length, name, (int)n, value);
    check((size_t)length == name_length + n + 4);
    int r = buf_append(out, text, (size_t)length);
    free(text);
    return r;
}

static int end(struct buf *out, const struct http_ending *e)
{
    check(e->length >= HTTP_LENGTH_UNKNOWN);
    return buf_append(out, "\r\n", 2);
}

static const struct client_wire wire = {.begin = begin, .field = field, .end = end};

/* ---- lists, as a reader splits them that knows quotes, or comments, or neither ---- */

enum reader { PLAIN, QUOTES, COMMENTS };

/* Where the last element begins. */
static size_t last_element(const char *s, size_t n, enum reader reader)
{
    size_t from = 0, depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        bool inside = quoted || depth > 0;
        if (s[i] == '\\' && inside)
            i++;
        else if (s[i] == '"' && reader == QUOTES)
            quoted = !quoted;
        else if (s[i] == '(' && reader == COMMENTS)
            depth++;
        else if (s[i] == ')' && depth > 0)
            depth--;
        else if (s[i] == ',' && !inside)
            from = i + 1;
    }
    while (from < n && strchr(" \t", s[from]))
        from++;
    return from;
}

static void check_last(const char *s, size_t n, const char *ours, enum reader reader)
{
    size_t from = last_element(s, n, reader);
    check(n - from == strlen(ours) && memcmp(s + from, ours, n - from) == 0);
}

/* ---- a request that is passed on ---- */

static const struct {
    enum http_trusted kind;
    const char *name, *ours;
    enum reader reader;
} lists[] = {
    {HTTP_X_FORWARDED_FOR, "x-forwarded-for", "192.0.2.1", PLAIN},
    {HTTP_FORWARDED, "forwarded", "for=\"192.0.2.1\";proto=http;host=\"me\"", QUOTES},
    {HTTP_VIA, "via", "1.1 proxy", COMMENTS},
};

/* The client's own values that are to the letter, and ours: what the field must say. */
static size_t expected(char *to, const struct http_head *h, const char *bytes, size_t list)
{
    char *at = to;
    for (size_t i = 0; i < h->count; i++) {
        const struct http_span *value = &h->fields[i].value;
        if (value->length > 0 && fuzz_is(bytes, h->fields[i].name, lists[list].name) &&
            forward_check_is_good(lists[list].kind, bytes + value->at, value->length))
            at += sprintf(at, "%.*s, ", (int)value->length, bytes + value->at);
    }
    at += sprintf(at, "%s", lists[list].ours);
    return (size_t)(at - to);
}

/* The field of that name, and it is the only one to CGI, too. */
static const struct http_span *only(const struct http_head *h, const char *bytes, const char *name)
{
    const struct http_span *value = NULL;
    for (size_t i = 0; i < h->count; i++) {
        const struct http_field *f = &h->fields[i];
        bool same = f->name.length == strlen(name);
        for (size_t k = 0; same && k < f->name.length; k++) {
            char c = bytes[f->name.at + k], low = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            bool dash = !((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9'));
            same = (dash ? '-' : low) == name[k];
        }
        check(!same || !value);
        value = same ? &f->value : value;
    }
    return value;
}

static void check_passed(const struct http_head *h, const char *bytes, const struct forward_request *q, struct buf *out)
{
    static struct http_head got;
    static const bool lists_are_ours[][3] = {
        [FORWARD_NOT] = {false, false, true}, [FORWARD_X] = {true, false, true},
        [FORWARD_STANDARD] = {false, true, true}};
    char *want = malloc(h->length + 128);
    check(want);
    check(h1_parse_request(&got, buf_at(out), buf_len(out)) == (int)buf_len(out));
    check(got.content_length < 0 && got.codings == 0 && !got.close && !got.upgrade);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        bool known = q->client != FORWARD_NOT || lists[i].kind == HTTP_VIA;
        const struct http_span *value = known ? only(&got, buf_at(out), lists[i].name) : NULL;
        if (!known)
            continue;
        check((value != NULL) == lists_are_ours[q->client][i]);
        if (!value)
            continue;
        size_t n = expected(want, h, bytes, i);
        check(value->length == n && memcmp(buf_at(out) + value->at, want, n) == 0);
        check_last(want, n, lists[i].ours, lists[i].reader);
        check(forward_check_is_good(lists[i].kind, want, n));
    }
    static const char *const ours[] = {"x-forwarded-proto", "x-forwarded-host"}, *const said[] = {"http", "me"};
    for (size_t i = 0; i < ARRAY_LEN(ours) && q->client != FORWARD_NOT; i++) {
        const struct http_span *value = only(&got, buf_at(out), ours[i]);
        check((value != NULL) == (q->client == FORWARD_X) && (!value || fuzz_is(buf_at(out), *value, said[i])));
    }
    check(!only(&got, buf_at(out), "proxy") && !only(&got, buf_at(out), "te") && !only(&got, buf_at(out), "trailer"));
    check(q->client == FORWARD_NOT || !only(&got, buf_at(out), "x-real-ip"));
    const struct http_span *hops = only(&got, buf_at(out), "max-forwards");
    check(hops && fuzz_is(buf_at(out), *hops, "5"));
    free(want);
}

/* What a Connection field lists has gone. Our own fields stand nevertheless: these are looked at above. */
static void check_hops(const struct http_head *h, const char *bytes, struct buf *out)
{
    static struct http_head got;
    check(h1_parse_request(&got, buf_at(out), buf_len(out)) > 0);
    for (size_t i = 0; i < got.count; i++) {
        const char *name = buf_at(out) + got.fields[i].name.at;
        size_t n = got.fields[i].name.length;
        for (size_t k = 0; k < h->count && forward_check_name(name, n) == HTTP_UNTRUSTED; k++) {
            const struct http_span *value = &h->fields[k].value;
            if (fuzz_is(bytes, h->fields[k].name, "connection") && strncasecmp(name, "host", n) != 0)
                check(!http_hops_lists(bytes + value->at, value->length, name, n));
        }
    }
}

static void as_fields(const char *fields, size_t n)
{
    static const char first[] = "GET / HTTP/1.1\r\nHost: me\r\n";
    static const struct stream_ops plain = {.name = "tcp"};
    static struct http_conn conn = {.c.stream.ops = &plain};
    static struct http_exchange x = {.conn = &conn};
    static struct http_reader w = {.wire = &wire};
    x.bytes.start = x.bytes.end = 0;
    check(buf_append(&x.bytes, first, sizeof first - 1) == 0 && buf_append(&x.bytes, fields, n) == 0 &&
          buf_append(&x.bytes, "\r\n\r\n", 4) == 0);
    if (h1_parse_request(&x.head, buf_at(&x.bytes), buf_len(&x.bytes)) <= 0)
        return;
    struct forward_request q = {.path = {"/", 1}, .via = {"proxy", 5}, .hops = {"5", 1}, .held = -1};
    for (q.client = FORWARD_NOT; q.client <= FORWARD_STANDARD; q.client++) {
        int r = forward_request(&w, &x, &q);
        check(r == 0 || r == ERR_MALFORMED);
        static struct http_head again;
        if (r < 0 || h1_parse_request(&again, buf_at(&w.bytes), buf_len(&w.bytes)) == HTTP_TOO_MANY)
            continue; /* ours are beyond the most that we would read ourselves */
        check_passed(&x.head, buf_at(&x.bytes), &q, &w.bytes);
        check_hops(&x.head, buf_at(&x.bytes), &w.bytes);
    }
}

/* ---- paths ---- */

/* The segment from s on, up to n bytes, in which blanks are nothing and what follows a ';', '?' or '#' is none of it:
 * is it "." or ".."? */
static bool leads_up(const char *s, size_t n)
{
    size_t dots = 0;
    for (size_t i = 0; i < n && !strchr(";?#", s[i]); i++) {
        if (s[i] != '.' && !((unsigned char)s[i] <= ' '))
            return false;
        dots += s[i] == '.';
    }
    return dots == 1 || dots == 2;
}

/* UTF-8 of two bytes that is longer than it need be, as lenient readers take it. */
static size_t shorten(char *s, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        bool longer = i + 1 < n && (unsigned char)(s[i] | 1) == 0xc1 && (unsigned char)(s[i + 1] & 0xc0) == 0x80;
        s[to++] = longer ? (char)((s[i] & 1) << 6 | (s[i + 1] & 0x3f)) : s[i];
        i += longer;
    }
    return to;
}

/* A path that is let through has no such segment: as it is, decoded, and decoded by somebody who is lenient. */
static void as_path(const char *input, size_t n)
{
    char *path = fuzz_exact(input, n);
    bool climbs = forward_check_climbs(path, n);
    ptrdiff_t got = http_form_decode(path, path, n, false);
    check(got >= 0 || climbs);
    for (int round = 0; round < 2 && got >= 0 && !climbs; round++) {
        size_t from = 0, length = round == 0 ? (size_t)got : shorten(path, (size_t)got);
        check(!memchr(path, '\0', length));
        for (size_t i = 0; i <= length; i++) {
            if (i < length && path[i] != '/' && path[i] != '\\')
                continue;
            check(!leads_up(path + from, i - from));
            from = i + 1;
        }
    }
    free(path);
}

/* 0xfe and 0xff begin no character: a segment that has one leads nowhere, whatever follows it. */
static void as_name(const char *input, size_t n)
{
    for (int odd = 0xfe; odd <= 0xff; odd++) {
        char *path = malloc(3 * n + 8);
        check(path);
        size_t length = (size_t)sprintf(path, "/%%%02x", odd);
        for (size_t i = 0; i < n; i++) {
            int c = (unsigned char)input[i] | 0x80;
            length += (size_t)sprintf(path + length, "%%%02x", c >= 0xc0 ? c & 0xbf : c);
        }
        check(!forward_check_climbs(path, length));
        free(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    const char *bytes = (const char *)input;
    as_path(bytes, n);
    as_name(bytes, n);
    as_fields(bytes, n);
    return 0;
}
