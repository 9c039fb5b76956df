/* SPDX-License-Identifier: MIT */
/* l_http_forward.c - what frames a message is never copied, but written anew from what was understood of it. So what
 * leaves has one meaning, whatever came. Fields that concern one connection only are dropped (RFC 9110 7.6.1). */
#include "l_http_forward.h"

#include "errors.h"
#include "http_server.h"
#include "l_conn.h"
#include "l_http.h"
#include "l_http_client.h"
#include "socket.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { INLINE_MAX = 16384 }; /* longer bodies are not copied behind their head */

/* How the client is named to the target. */
enum forwarded { FORWARDED_NOT, FORWARDED_X, FORWARDED_STANDARD };

/* ---- what is dropped ---- */

struct name {
    const char *words;
    uint8_t length;
};

#define NAME(words_) {words_, sizeof(words_) - 1}

static const struct name hop_by_hop[] = {
    NAME("te"), NAME("trailer"), NAME("keep-alive"), NAME("proxy-connection"), NAME("proxy-authorization"),
    NAME("proxy-authentication-info"),
};

/* Written anew about the client: what he says of himself there is not believed. X-Forwarded-For and Forwarded
 * go on behind his. */
static const struct name about_client[] = {
    NAME("x-forwarded-for"), NAME("x-forwarded-host"), NAME("x-forwarded-proto"), NAME("forwarded"),
};

static bool is_in(const struct name *names, size_t count, const char *name, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].length == n && strncasecmp(names[i].words, name, n) == 0)
            return true;
    return false;
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

/* The Connection fields of a head, but for those that say nothing about other fields. */
struct hops {
    const char *bytes;
    const struct http_head *head;
    uint16_t at[8];
    int count;
    bool many; /* more than that, as no honest message has: it is not passed on */
};

static void find_hops(struct hops *hops, const char *bytes, const struct http_head *head)
{
    *hops = (struct hops){.bytes = bytes, .head = head};
    for (int i = 0; i < head->count; i++) {
        const struct http_span *name = &head->fields[i].name, *value = &head->fields[i].value;
        if (http_parse_id(bytes + name->at, name->length) != HTTP_CONNECTION)
            continue;
        bool plain = (value->length == 10 && strncasecmp(bytes + value->at, "keep-alive", 10) == 0) ||
                     (value->length == 5 && strncasecmp(bytes + value->at, "close", 5) == 0);
        if (!plain && hops->count < (int)ARRAY_LEN(hops->at))
            hops->at[hops->count++] = (uint16_t)i;
        else if (!plain)
            hops->many = true;
    }
}

static bool is_hop(const struct hops *hops, const char *name, size_t n)
{
    if (http_parse_id(name, n) != HTTP_OTHER || is_in(hop_by_hop, ARRAY_LEN(hop_by_hop), name, n))
        return true;
    for (int i = 0; i < hops->count; i++) {
        const struct http_span *value = &hops->head->fields[hops->at[i]].value;
        if (lists(hops->bytes + value->at, value->length, name, n))
            return true;
    }
    return false;
}

/* ---- requests ---- */

static const char *bytes_of(const struct http_exchange *x) { return buf_at(&x->bytes); }

#define PUT(out, literal) buf_append(out, literal, sizeof(literal) - 1)

static int put_span(struct buf *out, const struct http_exchange *x, struct http_span s)
{
    return buf_append(out, bytes_of(x) + s.at, s.length);
}

/* The target's own path stands before what was asked for, which is in origin form from here on. */
static int put_request_line(struct buf *out, const struct http_exchange *x, const char *prefix, size_t n)
{
    const struct http_head *h = &x->head;
    int r = put_span(out, x, h->method);
    r = r < 0 ? r : PUT(out, " ");
    if (h->form != HTTP_ASTERISK)
        r = r < 0 ? r : buf_append(out, prefix, n);
    if (h->path.length == 0)
        r = r < 0 ? r : PUT(out, "/");
    r = r < 0 ? r : put_span(out, x, h->path);
    if (h->has_query) {
        r = r < 0 ? r : PUT(out, "?");
        r = r < 0 ? r : put_span(out, x, h->query);
    }
    return r < 0 ? r : PUT(out, " HTTP/1.1\r\n");
}

static int put_fields(struct buf *out, const struct http_exchange *x, enum forwarded forwarded)
{
    struct hops hops;
    find_hops(&hops, bytes_of(x), &x->head);
    if (hops.many)
        return ERR_MALFORMED;
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        const char *name = bytes_of(x) + f->name.at;
        if (is_hop(&hops, name, f->name.length))
            continue;
        if (forwarded != FORWARDED_NOT && is_in(about_client, ARRAY_LEN(about_client), name, f->name.length))
            continue;
        int r = http_add_field(out, name, f->name.length, bytes_of(x) + f->value.at, f->value.length);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A message has one framing: that which we have understood. */
static int put_framing(struct buf *out, const struct http_exchange *x, bool upgrade)
{
    char text[64];
    int r = 0;
    if (x->head.chunked)
        r = PUT(out, "Transfer-Encoding: chunked\r\n");
    else if (x->head.content_length >= 0)
        r = buf_append(out, text, (size_t)snprintf(text, sizeof text, "Content-Length: %lld\r\n",
                                                   (long long)x->head.content_length));
    for (int i = 0; r == 0 && upgrade && i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (http_parse_id(bytes_of(x) + f->name.at, f->name.length) == HTTP_UPGRADE)
            r = http_add_field(out, "Upgrade", 7, bytes_of(x) + f->value.at, f->value.length);
    }
    return r == 0 && upgrade ? PUT(out, "Connection: Upgrade\r\n") : r;
}

/* ---- who the client is ---- */

/* The address without the port, as X-Forwarded-For has it; an IPv6 one keeps its brackets for Forwarded only. */
static size_t client_address(const struct http_exchange *x, char *text, bool brackets)
{
    struct addr a;
    if (socket_peer(x->conn->c.stream.fd, &a) < 0 || a.any.sa_family == AF_UNIX) {
        memcpy(text, "unknown", 7);
        return 7;
    }
    size_t n = addr_format(&a, text);
    while (n > 0 && text[n - 1] != ':')
        n--;
    n -= n > 0;
    if (n > 2 && text[0] == '[' && !brackets) {
        memmove(text, text + 1, n - 2);
        n -= 2;
    }
    return n;
}

/* The values of the client's own fields of that name, each with a comma behind it: ours goes on there. */
static int put_earlier(struct buf *out, const struct http_exchange *x, const struct name *name)
{
    int r = 0;
    for (int i = 0; r == 0 && i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (!is_in(name, 1, bytes_of(x) + f->name.at, f->name.length))
            continue;
        r = put_span(out, x, f->value);
        r = r < 0 ? r : PUT(out, ", ");
    }
    return r;
}

static int put_x_forwarded(struct buf *out, const struct http_exchange *x)
{
    static const struct name name = NAME("x-forwarded-for");
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "X-Forwarded-For: ");
    r = r < 0 ? r : put_earlier(out, x, &name);
    r = r < 0 ? r : buf_append(out, text, client_address(x, text, false));
    r = r < 0 ? r : PUT(out, "\r\nX-Forwarded-Proto: http\r\n");
    if (r < 0 || x->head.authority.length == 0)
        return r;
    return http_add_field(out, "X-Forwarded-Host", 16, bytes_of(x) + x->head.authority.at, x->head.authority.length);
}

/* RFC 7239. The Host was checked when it was parsed: there is no quote in it. */
static int put_forwarded(struct buf *out, const struct http_exchange *x)
{
    static const struct name name = NAME("forwarded");
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "Forwarded: ");
    r = r < 0 ? r : put_earlier(out, x, &name);
    r = r < 0 ? r : PUT(out, "for=\"");
    r = r < 0 ? r : buf_append(out, text, client_address(x, text, true));
    r = r < 0 ? r : PUT(out, "\";proto=http");
    if (r == 0 && x->head.authority.length > 0) {
        r = PUT(out, ";host=\"");
        r = r < 0 ? r : put_span(out, x, x->head.authority);
        r = r < 0 ? r : PUT(out, "\"");
    }
    return r < 0 ? r : PUT(out, "\r\n");
}

static int put_request(lua_State *L, struct buf *out, struct http_exchange *x)
{
    size_t prefix_length, host_length;
    const char *prefix = luaL_checklstring(L, 4, &prefix_length), *host = lua_tolstring(L, 5, &host_length);
    enum forwarded forwarded = (enum forwarded)luaL_checkinteger(L, 6);
    bool upgrade = lua_toboolean(L, 7) && x->head.upgrade;
    int r = put_request_line(out, x, prefix, prefix_length);
    if (r == 0 && host)
        r = http_add_field(out, "Host", 4, host, host_length);
    else if (r == 0)
        r = http_add_field(out, "Host", 4, bytes_of(x) + x->head.authority.at, x->head.authority.length);
    r = r < 0 ? r : put_fields(out, x, forwarded);
    if (forwarded == FORWARDED_X)
        r = r < 0 ? r : put_x_forwarded(out, x);
    else if (forwarded == FORWARDED_STANDARD)
        r = r < 0 ? r : put_forwarded(out, x);
    r = r < 0 ? r : put_framing(out, x, upgrade);
    return r < 0 ? r : http_end_head(out);
}

/* http_forward_request(x, serial, reader, prefix, host | nil, forwarded, upgrade) -> the head's text,
 * does it ask for an upgrade | nil, err, errno */
static int l_forward_request(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    http_client_begin(reader, false, 0);
    int r = put_request(L, &reader->bytes, x);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, buf_at(&reader->bytes), buf_len(&reader->bytes));
    lua_pushboolean(L, lua_toboolean(L, 7) && x->head.upgrade);
    return 2;
}

/* ---- responses ---- */

static bool has_date(const struct http_reader *r)
{
    for (int i = 0; i < r->head.count; i++)
        if (r->head.fields[i].name.length == 4 &&
            strncasecmp(buf_at(&r->bytes) + r->head.fields[i].name.at, "date", 4) == 0)
            return true;
    return false;
}

static int copy_fields(struct buf *out, const struct http_reader *reader)
{
    const char *bytes = buf_at(&reader->bytes);
    struct hops hops;
    int r = 0;
    find_hops(&hops, bytes, &reader->head);
    if (hops.many || (reader->head.coded && reader->body.framing != HTTP_NO_BODY)) /* nobody would undo the codings */
        return ERR_MALFORMED;
    for (int i = 0; r == 0 && i < reader->head.count; i++) {
        const struct http_field *f = &reader->head.fields[i];
        if (!is_hop(&hops, bytes + f->name.at, f->name.length))
            r = http_add_field(out, bytes + f->name.at, f->name.length, bytes + f->value.at, f->value.length);
    }
    return r;
}

/* Bytes of the body where they are known: a HEAD is answered with what a GET would have. */
static int64_t length_of(const struct http_reader *r)
{
    return r->head.chunked ? -1 : r->head.content_length;
}

static int put_head(struct http_exchange *x, const struct http_reader *r)
{
    struct buf *out = &x->out;
    size_t before = buf_len(out);
    const char *date = has_date(r) ? NULL : http_life_date(x->server);
    if (x->server->closing || !http_conn_is_short(x))
        x->peer.keep_alive = false; /* nobody will read what is left of the body */
    int e = http_begin_response(&x->framing, &x->peer, out, r->head.status, length_of(r), date);
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail any more */
    e = e < 0 ? e : copy_fields(out, r);
    e = e < 0 ? e : http_end_head(out);
    if (e < 0)
        out->end = out->start + before;
    else
        x->framing.phase = HTTP_IN_BODY;
    return e;
}

/* A small body that is here already leaves with its head, unless that is all there may be. */
static bool takes_body(struct http_exchange *x, struct http_reader *r, struct conn *c)
{
    struct http_span data;
    size_t used = 0, n = r->body.left;
    if (r->body.over)
        return true;
    if (r->body.framing != HTTP_BY_LENGTH || n > INLINE_MAX || n > buf_len(&c->in))
        return false;
    if (!x->framing.mute && buf_append(&x->out, buf_at(&c->in), n) < 0)
        return false;
    (void)http_take(&r->body, buf_at(&c->in), n, &used, &data);
    buf_consume(&c->in, used);
    return true;
}

/* http_forward_response(x, serial, reader, connection) -> true: all of the response, false: its head, and the body
 * is to follow by write() | nil, err, errno */
static int l_forward_response(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    struct conn *c = l_conn_test(L, 4);
    luaL_argcheck(L, c && c->kind == CONN_STREAM, 4, "connection expected");
    if (x->framing.phase != HTTP_UNSENT || x->conn->c.side[POLL_W].holder)
        return luaL_error(L, "the response was sent already");
    int r = put_head(x, reader);
    if (r < 0)
        return face_error(L, r);
    http_server_flush_later(x);
    bool whole = takes_body(x, reader, c);
    if (whole) {
        x->framing.phase = HTTP_SENT;
        x->framing.left = 0;
    }
    lua_pushboolean(L, whole);
    return 1;
}

/* http_forward_upgrade(reader) -> the text of a 101 as it was received: another protocol follows it */
static int l_forward_upgrade(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    lua_pushlstring(L, buf_at(&r->bytes), buf_len(&r->bytes));
    return 1;
}

static const luaL_Reg functions[] = {{"http_forward_request", l_forward_request},
                                     {"http_forward_response", l_forward_response},
                                     {"http_forward_upgrade", l_forward_upgrade}, {NULL, NULL}};

void l_http_forward_open(lua_State *L) { face_functions(L, functions); }
