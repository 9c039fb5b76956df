/* SPDX-License-Identifier: MIT */
/* l_http_forward.c - what frames a message is never copied, but written anew from what was understood of it. So what
 * leaves has one meaning, whatever came. Fields that concern one connection only are dropped (RFC 9110 7.6.1). */
#include "l_http_forward.h"

#include "errors.h"
#include "http_hops.h"
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

/* What a request becomes on its way, as the script has decided. */
struct passage {
    const char *prefix, *path, *host, *upgrade, *via; /* host: NULL: the client's; upgrade, via: NULL: none */
    size_t prefix_length, path_length, host_length, upgrade_length, via_length;
    int64_t length;       /* bytes of a body that is here; -1: framed as it came */
    int64_t max_forwards; /* what is left; -1: it does not count */
    enum forwarded forwarded;
    bool expect; /* Expect: 100-continue goes on */
};

/* ---- requests ---- */

static const char *bytes_of(const struct http_exchange *x) { return buf_at(&x->bytes); }

#define PUT(out, literal) buf_append(out, literal, sizeof(literal) - 1)

static int put_span(struct buf *out, const struct http_exchange *x, struct http_span s)
{
    return buf_append(out, bytes_of(x) + s.at, s.length);
}

/* Is this OPTIONS for the server as a whole (RFC 9112 3.2.4)? */
static bool is_asterisk(const struct http_exchange *x)
{
    const struct http_head *h = &x->head;
    bool bare = h->form == HTTP_ABSOLUTE && h->path.length == 0 && !h->has_query;
    bool options = h->method.length == 7 && memcmp(bytes_of(x) + h->method.at, "OPTIONS", 7) == 0;
    return h->form == HTTP_ASTERISK || (bare && options);
}

/* The target's own path stands before what was asked for, which is in origin form from here on. */
static int put_request_line(struct buf *out, const struct http_exchange *x, const struct passage *p)
{
    const struct http_head *h = &x->head;
    int r = put_span(out, x, h->method);
    if (is_asterisk(x))
        return r < 0 ? r : PUT(out, " * HTTP/1.1\r\n");
    r = r < 0 ? r : PUT(out, " ");
    r = r < 0 ? r : buf_append(out, p->prefix, p->prefix_length);
    if (p->path_length == 0)
        r = r < 0 ? r : PUT(out, "/");
    r = r < 0 ? r : buf_append(out, p->path, p->path_length);
    if (h->has_query) {
        r = r < 0 ? r : PUT(out, "?");
        r = r < 0 ? r : put_span(out, x, h->query);
    }
    return r < 0 ? r : PUT(out, " HTTP/1.1\r\n");
}

static bool is_named(const char *name, size_t n, const char *words, size_t length)
{
    return n == length && strncasecmp(name, words, length) == 0;
}

/* Is the field written anew, or not to be believed? */
static bool is_ours(const struct passage *p, const char *name, size_t n, const char *value, size_t length)
{
    if (p->forwarded != FORWARDED_NOT && http_hops_is_about_client(name, n))
        return true;
    if (is_named(name, n, "via", 3))
        return !http_hops_is_via(value, length);
    return p->max_forwards >= 0 && is_named(name, n, "max-forwards", 12);
}

static int put_fields(struct buf *out, const struct http_exchange *x, const struct passage *p)
{
    struct http_hops hops;
    int r = http_hops_find(&hops, bytes_of(x), &x->head);
    for (int i = 0; r == 0 && i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        const char *name = bytes_of(x) + f->name.at, *value = bytes_of(x) + f->value.at;
        if (!http_hops_drops(&hops, name, f->name.length) &&
            !is_ours(p, name, f->name.length, value, f->value.length))
            r = http_add_field(out, name, f->name.length, value, f->value.length);
    }
    return r;
}

static int put_number(struct buf *out, const char *name, int64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)number);
    return http_add_field(out, name, strlen(name), text, (size_t)n);
}

/* A message has one framing: that which we have understood. */
static int put_framing(struct buf *out, const struct http_exchange *x, const struct passage *p)
{
    int r = 0;
    if (p->length >= 0)
        r = put_number(out, "Content-Length", p->length);
    else if (x->head.chunked)
        r = PUT(out, "Transfer-Encoding: chunked\r\n");
    else if (x->head.content_length >= 0)
        r = put_number(out, "Content-Length", x->head.content_length);
    if (r == 0 && p->expect)
        r = PUT(out, "Expect: 100-continue\r\n");
    if (r == 0 && p->upgrade)
        r = http_add_field(out, "Upgrade", 7, p->upgrade, p->upgrade_length);
    return r == 0 && p->upgrade ? PUT(out, "Connection: Upgrade\r\n") : r;
}

/* RFC 9110 7.6: who has passed it on, and how often that may still be done. */
static int put_way(struct buf *out, const struct http_exchange *x, const struct passage *p)
{
    int r = p->max_forwards >= 0 ? put_number(out, "Max-Forwards", p->max_forwards) : 0;
    if (r < 0 || !p->via)
        return r;
    r = x->head.minor == 0 ? PUT(out, "Via: 1.0 ") : PUT(out, "Via: 1.1 ");
    r = r < 0 ? r : buf_append(out, p->via, p->via_length);
    return r < 0 ? r : PUT(out, "\r\n");
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

/* The values of the client's own fields of that name, each with a comma behind it: ours goes on there. Those that are
 * not what they should be are left out: they could take ours away. */
static int put_earlier(struct buf *out, const struct http_exchange *x, const char *name, size_t n,
                       bool (*is_right)(const char *value, size_t n))
{
    int r = 0;
    for (int i = 0; r == 0 && i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (!is_named(bytes_of(x) + f->name.at, f->name.length, name, n) || f->value.length == 0 ||
            !is_right(bytes_of(x) + f->value.at, f->value.length))
            continue;
        r = put_span(out, x, f->value);
        r = r < 0 ? r : PUT(out, ", ");
    }
    return r;
}

static int put_x_forwarded(struct buf *out, const struct http_exchange *x)
{
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "X-Forwarded-For: ");
    r = r < 0 ? r : put_earlier(out, x, "x-forwarded-for", 15, http_hops_is_address_list);
    r = r < 0 ? r : buf_append(out, text, client_address(x, text, false));
    r = r < 0 ? r : PUT(out, "\r\nX-Forwarded-Proto: http\r\n");
    if (r < 0 || x->head.authority.length == 0)
        return r;
    return http_add_field(out, "X-Forwarded-Host", 16, bytes_of(x) + x->head.authority.at, x->head.authority.length);
}

/* RFC 7239. The Host was checked when it was parsed: there is no quote in it. */
static int put_forwarded(struct buf *out, const struct http_exchange *x)
{
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "Forwarded: ");
    r = r < 0 ? r : put_earlier(out, x, "forwarded", 9, http_hops_is_forwarded);
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

static int put_request(struct buf *out, struct http_exchange *x, const struct passage *p)
{
    int r = put_request_line(out, x, p);
    if (r == 0 && p->host)
        r = http_add_field(out, "Host", 4, p->host, p->host_length);
    else if (r == 0)
        r = http_add_field(out, "Host", 4, bytes_of(x) + x->head.authority.at, x->head.authority.length);
    r = r < 0 ? r : put_fields(out, x, p);
    if (p->forwarded == FORWARDED_X)
        r = r < 0 ? r : put_x_forwarded(out, x);
    else if (p->forwarded == FORWARDED_STANDARD)
        r = r < 0 ? r : put_forwarded(out, x);
    r = r < 0 ? r : put_way(out, x, p);
    r = r < 0 ? r : put_framing(out, x, p);
    return r < 0 ? r : http_end_head(out);
}

static const char *text_at(lua_State *L, int idx, size_t *n) { return lua_tolstring(L, idx, n); }

static int64_t number_at(lua_State *L, int idx)
{
    return lua_isnoneornil(L, idx) ? -1 : (int64_t)face_size(L, idx, 0, 0);
}

/* http_forward_request(x, serial, reader, prefix, path, forwarded, host | nil, via | nil, upgrade | nil, length | nil,
 * expect, max forwards | nil) -> the head's text | nil, err, errno */
static int l_forward_request(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    struct passage p = {.forwarded = (enum forwarded)luaL_checkinteger(L, 6), .expect = lua_toboolean(L, 11)};
    p.prefix = luaL_checklstring(L, 4, &p.prefix_length);
    p.path = luaL_checklstring(L, 5, &p.path_length);
    p.host = text_at(L, 7, &p.host_length);
    p.via = text_at(L, 8, &p.via_length);
    p.upgrade = text_at(L, 9, &p.upgrade_length);
    p.length = number_at(L, 10);
    p.max_forwards = number_at(L, 12);
    http_client_begin(reader, false, 0);
    int r = put_request(&reader->bytes, x, &p);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, buf_at(&reader->bytes), buf_len(&reader->bytes));
    return 1;
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
    struct http_hops hops;
    int r = http_hops_find(&hops, bytes, &reader->head);
    if (r == 0 && (reader->head.coded && reader->body.framing != HTTP_NO_BODY)) /* nobody would undo the codings */
        return ERR_MALFORMED;
    for (int i = 0; r == 0 && i < reader->head.count; i++) {
        const struct http_field *f = &reader->head.fields[i];
        if (!http_hops_drops(&hops, bytes + f->name.at, f->name.length))
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
    size_t before = buf_len(&x->out);
    bool whole = takes_body(x, reader, c);
    if (whole) {
        x->framing.phase = HTTP_SENT;
        x->framing.left = 0;
        x->framing.total = x->inside = buf_len(&x->out) - before;
    }
    lua_pushboolean(L, whole);
    return 1;
}

/* http_forward_interim(x, serial, reader): a response that comes before the one, 100 Continue or 103 Early Hints, goes
 * to the client; one that could not read it, of HTTP/1.0, is spared. -> true | nil, err */
static int l_forward_interim(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    struct buf *out = &x->out;
    size_t before = buf_len(out);
    if (x->peer.old || x->framing.phase != HTTP_UNSENT || x->conn->c.side[POLL_W].holder)
        return face_result(L, 0);
    x->continued |= reader->head.status == 100;
    int r = http_begin_interim(out, reader->head.status);
    r = r < 0 ? r : copy_fields(out, reader);
    r = r < 0 ? r : http_end_head(out);
    if (r < 0)
        out->end = out->start + before;
    else
        http_server_flush_later(x);
    return face_result(L, r);
}

/* http_forward_expectation(x, serial) -> does the client wait for 100 Continue, does it ask for another protocol? From
 * now on nobody here says 100 to it: what the target says goes there. */
static int l_forward_expectation(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    bool waits = !x->continued && !x->body.over && buf_len(&x->conn->c.in) == 0;
    x->relayed = true;
    lua_pushboolean(L, waits);
    lua_pushboolean(L, x->head.upgrade);
    return 2;
}

/* http_forward_upgrade(reader) -> the text of a 101 as it was received: another protocol follows it */
static int l_forward_upgrade(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    lua_pushlstring(L, buf_at(&r->bytes), buf_len(&r->bytes));
    return 1;
}

static const luaL_Reg functions[] = {
    {"http_forward_expectation", l_forward_expectation}, {"http_forward_interim", l_forward_interim},
    {"http_forward_request", l_forward_request}, {"http_forward_response", l_forward_response},
    {"http_forward_upgrade", l_forward_upgrade}, {NULL, NULL},
};

void l_http_forward_open(lua_State *L) { face_functions(L, functions); }
