/* SPDX-License-Identifier: MIT */
/* l_http_forward.c - the Lua face of a reverse proxy: heads go from one side to the other without becoming tables.
 *
 * Bodies, pools and errors are lua/moonpark/http/proxy.lua's.
 *
 * What frames a message is never copied, but written anew from what was understood of it. So what
 * leaves has one meaning, whatever came. Fields that concern one connection only are dropped (RFC 9110 7.6.1). */
#include "lua/faces.h"

#include "base/errors.h"
#include "http/h1_scan.h"
#include "http/http_forwarded.h"
#include "http/http_hops.h"
#include "http/http_server.h"
#include "lua/l_conn.h"
#include "lua/l_http.h"
#include "lua/l_http_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { INLINE_MAX = 16384 }; /* longer bodies are not copied behind their head */

/* How the client is named to the target. */
enum forwarded { FORWARDED_NOT, FORWARDED_X, FORWARDED_STANDARD };

/* ---- requests ---- */

static const char *bytes_of(const struct http_exchange *x) { return buf_at(&x->bytes); }

#define PUT(out, literal) buf_append(out, literal, sizeof(literal) - 1)

static int put_span(struct buf *out, const struct http_exchange *x, struct http_span s)
{
    return buf_append(out, bytes_of(x) + s.at, s.length);
}

/* What a request's head is made of beside the client's. */
struct request {
    const struct http_exchange *x;
    const char *path, *prefix, *host, *upgrade, *via, *hops; /* NULL: none; see l_forward_request */
    size_t path_length, prefix_length, host_length, upgrade_length, via_length, hops_length;
    int64_t held;  /* bytes of the body, where all of it was read already; -1 */
    enum forwarded forwarded;
    size_t asks_at, asks_length; /* of the head that is written: the protocols that it asks for */
};

/* RFC 9112 3.2.4: OPTIONS without a path is about the server as a whole. */
static bool is_about_all(const struct request *q)
{
    const struct http_head *h = &q->x->head;
    if (q->path[0] == '*')
        return true;
    return h->form == HTTP_ABSOLUTE && h->path.length == 0 && !h->has_query && q->path_length == 1 &&
           h->method.length == 7 && memcmp(bytes_of(q->x) + h->method.at, "OPTIONS", 7) == 0;
}

/* The target's own path stands before what was asked for, which is in origin form from here on. */
static int put_request_line(struct buf *out, const struct request *q)
{
    const struct http_head *h = &q->x->head;
    int r = put_span(out, q->x, h->method);
    if (is_about_all(q))
        return r < 0 ? r : PUT(out, " * HTTP/1.1\r\n");
    r = r < 0 ? r : PUT(out, " ");
    r = r < 0 ? r : buf_append(out, q->prefix, q->prefix_length);
    r = r < 0 ? r : buf_append(out, q->path, q->path_length);
    if (h->has_query) {
        r = r < 0 ? r : PUT(out, "?");
        r = r < 0 ? r : put_span(out, q->x, h->query);
    }
    return r < 0 ? r : PUT(out, " HTTP/1.1\r\n");
}

/* Is the field one that is written anew, or that the client may not say? */
static bool is_ours(const struct request *q, const char *name, size_t n)
{
    switch (http_forwarded_name(name, n)) {
    case HTTP_UNTRUSTED: return false;
    case HTTP_VIA: return q->via != NULL;
    case HTTP_MAX_FORWARDS: return q->hops != NULL;
    case HTTP_DISGUISED: return true;
    default: return q->forwarded != FORWARDED_NOT;
    }
}

static int put_fields(struct buf *out, const struct request *q)
{
    const struct http_exchange *x = q->x;
    struct http_hops hops;
    http_hops_find(&hops, bytes_of(x), &x->head);
    if (hops.many)
        return ERR_MALFORMED;
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        const char *name = bytes_of(x) + f->name.at;
        if (is_ours(q, name, f->name.length) || http_hops_has(&hops, name, f->name.length))
            continue;
        int r = h1_add_field(out, name, f->name.length, bytes_of(x) + f->value.at, f->value.length);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A message has one framing: that which we have understood. */
static int put_framing(struct buf *out, const struct request *q)
{
    const struct http_head *h = &q->x->head;
    int64_t length = q->held >= 0 ? q->held : h->content_length;
    char text[64];
    if (h->chunked && q->held < 0)
        return PUT(out, "Transfer-Encoding: chunked\r\n");
    if (length < 0)
        return 0;
    return buf_append(out, text, (size_t)snprintf(text, sizeof text, "Content-Length: %lld\r\n", (long long)length));
}

/* Those of the protocols that a field of the client's asks for which may pass. */
static int put_protocols(struct buf *out, struct request *q, struct http_span value)
{
    const char *text = bytes_of(q->x) + value.at;
    struct http_span one;
    int r = 0;
    for (size_t at = 0; r == 0 && http_hops_next(text, value.length, &at, &one);) {
        if (one.length == 0 || !http_hops_lists(q->upgrade, q->upgrade_length, text + one.at, one.length))
            continue;
        if (buf_len(out) > q->asks_at)
            r = PUT(out, ", ");
        r = r < 0 ? r : buf_append(out, text + one.at, one.length);
    }
    return r;
}

static int put_upgrade(struct buf *out, struct request *q)
{
    const struct http_head *h = &q->x->head;
    size_t before = buf_len(out);
    if (!q->upgrade || !h->upgrade)
        return 0;
    int r = PUT(out, "Upgrade: ");
    q->asks_at = buf_len(out);
    for (int i = 0; r == 0 && i < h->count; i++)
        if (h1_parse_id(bytes_of(q->x) + h->fields[i].name.at, h->fields[i].name.length) == HTTP_UPGRADE)
            r = put_protocols(out, q, h->fields[i].value);
    q->asks_length = buf_len(out) - q->asks_at;
    if (r == 0 && q->asks_length > 0)
        return PUT(out, "\r\nConnection: Upgrade\r\n");
    out->end = out->start + before;
    return r;
}

/* ---- who the client is ---- */

/* The address without the port, as X-Forwarded-For has it; an IPv6 one keeps its brackets for Forwarded only. */
static size_t client_address(const struct http_exchange *x, char *text, bool brackets)
{
    struct addr a;
    if (stream_address(&x->conn->c.stream, STREAM_PEER, &a) < 0 || a.any.sa_family == AF_UNIX) {
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

/* The values of the client's own fields of that kind, each with a comma behind it: ours goes on there. One that is not
 * to the letter of its grammar might swallow ours. */
static int put_earlier(struct buf *out, const struct http_exchange *x, enum http_trusted kind)
{
    int r = 0;
    for (int i = 0; r == 0 && i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        const char *value = bytes_of(x) + f->value.at;
        if (http_forwarded_name(bytes_of(x) + f->name.at, f->name.length) != kind || f->value.length == 0 ||
            !http_forwarded_is_good(kind, value, f->value.length))
            continue;
        r = put_span(out, x, f->value);
        r = r < 0 ? r : PUT(out, ", ");
    }
    return r;
}

static const char *scheme(const struct http_exchange *x) { return x->conn->c.stream.ops->secure ? "https" : "http"; }

static int put_x_forwarded(struct buf *out, const struct http_exchange *x)
{
    struct http_span host = x->head.authority;
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "X-Forwarded-For: ");
    r = r < 0 ? r : put_earlier(out, x, HTTP_X_FORWARDED_FOR);
    r = r < 0 ? r : buf_append(out, text, client_address(x, text, false));
    r = r < 0 ? r : PUT(out, "\r\nX-Forwarded-Proto: ");
    r = r < 0 ? r : buf_append(out, scheme(x), strlen(scheme(x)));
    r = r < 0 ? r : PUT(out, "\r\n");
    if (r < 0 || host.length == 0 || memchr(bytes_of(x) + host.at, ',', host.length)) /* that would be two */
        return r;
    return h1_add_field(out, "X-Forwarded-Host", 16, bytes_of(x) + host.at, host.length);
}

/* RFC 7239. The Host was checked when it was parsed: there is no quote in it. */
static int put_forwarded(struct buf *out, const struct http_exchange *x)
{
    char text[ADDR_TEXT_MAX];
    int r = PUT(out, "Forwarded: ");
    r = r < 0 ? r : put_earlier(out, x, HTTP_FORWARDED);
    r = r < 0 ? r : PUT(out, "for=\"");
    r = r < 0 ? r : buf_append(out, text, client_address(x, text, true));
    r = r < 0 ? r : PUT(out, "\";proto=");
    r = r < 0 ? r : buf_append(out, scheme(x), strlen(scheme(x)));
    if (r == 0 && x->head.authority.length > 0) {
        r = PUT(out, ";host=\"");
        r = r < 0 ? r : put_span(out, x, x->head.authority);
        r = r < 0 ? r : PUT(out, "\"");
    }
    return r < 0 ? r : PUT(out, "\r\n");
}

/* RFC 9110 7.6.3: the version is that of the client's message. */
static int put_via(struct buf *out, const struct request *q)
{
    int r = PUT(out, "Via: ");
    r = r < 0 ? r : put_earlier(out, q->x, HTTP_VIA);
    r = r < 0 ? r : q->x->head.minor == 0 ? PUT(out, "1.0 ") : PUT(out, "1.1 ");
    r = r < 0 ? r : buf_append(out, q->via, q->via_length);
    return r < 0 ? r : PUT(out, "\r\n");
}

static int put_standing(struct buf *out, const struct request *q)
{
    int r = q->forwarded == FORWARDED_X          ? put_x_forwarded(out, q->x)
            : q->forwarded == FORWARDED_STANDARD ? put_forwarded(out, q->x)
                                                 : 0;
    if (q->via)
        r = r < 0 ? r : put_via(out, q);
    if (q->hops)
        r = r < 0 ? r : h1_add_field(out, "Max-Forwards", 12, q->hops, q->hops_length);
    return r;
}

/* May the body come? The client has asked for that, and nobody has answered yet: the target is to. */
static bool asks_first(const struct http_exchange *x)
{
    return x->head.expect && !x->continued && !x->body.over && x->body.total == 0;
}

static int put_request(struct buf *out, struct request *q)
{
    const struct http_span *host = &q->x->head.authority;
    int r = put_request_line(out, q);
    if (q->host)
        r = r < 0 ? r : h1_add_field(out, "Host", 4, q->host, q->host_length);
    else
        r = r < 0 ? r : h1_add_field(out, "Host", 4, bytes_of(q->x) + host->at, host->length);
    r = r < 0 ? r : put_fields(out, q);
    r = r < 0 ? r : put_standing(out, q);
    r = r < 0 ? r : put_framing(out, q);
    if (q->held < 0 && asks_first(q->x))
        r = r < 0 ? r : PUT(out, "Expect: 100-continue\r\n");
    r = r < 0 ? r : put_upgrade(out, q);
    return r < 0 ? r : h1_end_head(out);
}

static const char *optional(lua_State *L, int idx, size_t *length)
{
    return lua_toboolean(L, idx) ? luaL_checklstring(L, idx, length) : NULL;
}

/* Scripts may have set it. */
static void check_path(lua_State *L, const struct request *q)
{
    bool fine = q->path_length > 0 && all(q->path, q->path_length, TARGET) && !memchr(q->path, '?', q->path_length);
    if (!fine || (q->path[0] != '/' && (q->path[0] != '*' || q->path_length > 1)))
        luaL_error(L, "http.proxy: req.raw_path is not a path: '%s'", q->path);
}

/* http_forward_request(x, serial, reader, path, held | nil, max forwards | nil, prefix, host | nil, forwarded,
 *   protocols | false, via | false)
 * -> the head's text, the protocols that it asks for | false, its method; or nil, err, errno. held: the body, which was
 * read before; protocols, via: those that may pass, separated by commas; what we are called there */
static int l_forward_request(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_reader *reader = l_http_reader(L, 3);
    struct request q = {.x = x, .held = -1};
    size_t held;
    q.path = luaL_checklstring(L, 4, &q.path_length);
    if (optional(L, 5, &held))
        q.held = (int64_t)held;
    q.hops = optional(L, 6, &q.hops_length);
    q.prefix = luaL_checklstring(L, 7, &q.prefix_length);
    q.host = optional(L, 8, &q.host_length);
    q.forwarded = (enum forwarded)luaL_checkinteger(L, 9);
    q.upgrade = optional(L, 10, &q.upgrade_length);
    q.via = optional(L, 11, &q.via_length);
    check_path(L, &q);
    http_client_begin(reader, false, 0);
    int r = put_request(&reader->bytes, &q);
    if (r < 0)
        return face_error(L, r);
    x->relayed |= q.held < 0 && asks_first(x);
    lua_pushlstring(L, buf_at(&reader->bytes), buf_len(&reader->bytes));
    if (q.asks_length > 0)
        lua_pushlstring(L, buf_at(&reader->bytes) + q.asks_at, q.asks_length);
    else
        lua_pushboolean(L, 0);
    lua_pushlstring(L, bytes_of(x) + x->head.method.at, x->head.method.length);
    return 3;
}

/* http_forward_body(x, serial) -> bytes of the body that were read already, is it to be asked for first? */
static int l_forward_body(lua_State *L)
{
    const struct http_exchange *x = l_http_current(L);
    lua_pushnumber(L, (lua_Number)x->body.total);
    lua_pushboolean(L, asks_first(x));
    return 2;
}

/* http_path_climbs(path) -> has it segments that lead up, to anybody who reads it? */
static int l_path_climbs(lua_State *L)
{
    size_t n;
    const char *path = luaL_checklstring(L, 1, &n);
    lua_pushboolean(L, http_forwarded_climbs(path, n));
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
    int r = 0;
    http_hops_find(&hops, bytes, &reader->head);
    if (hops.many || (reader->head.coded && reader->body.framing != HTTP_NO_BODY)) /* nobody would undo the codings */
        return ERR_MALFORMED;
    for (int i = 0; r == 0 && i < reader->head.count; i++) {
        const struct http_field *f = &reader->head.fields[i];
        if (!http_hops_has(&hops, bytes + f->name.at, f->name.length))
            r = h1_add_field(out, bytes + f->name.at, f->name.length, bytes + f->value.at, f->value.length);
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
    if (x->failure)
        return x->failure;
    const char *date = has_date(r) ? NULL : http_conn_date(x->server);
    if (x->server->closing || !http_body_is_short(x))
        x->peer.keep_alive = false; /* nobody will read what is left of the body */
    int e = h1_begin_response(&x->framing, &x->peer, out, r->head.status, length_of(r), date);
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail any more */
    e = e < 0 ? e : copy_fields(out, r);
    e = e < 0 ? e : h1_end_head(out);
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
    x->framing.total = x->inside = x->framing.mute ? 0 : n;
    (void)h1_take(&r->body, buf_at(&c->in), n, &used, &data);
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

static int put_interim(struct buf *out, const struct http_reader *reader)
{
    char text[96];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", reader->head.status, h1_reason(reader->head.status));
    int r = buf_append(out, text, (size_t)n);
    r = r < 0 ? r : copy_fields(out, reader);
    return r < 0 ? r : h1_end_head(out);
}

/* Can the client be told, and was he not told the same before? */
static bool hears_interim(const struct http_exchange *x, int status)
{
    bool told = status == 100 && x->head.expect && x->continued;
    return !x->peer.old && !x->failure && x->framing.phase == HTTP_UNSENT && !told;
}

/* http_forward_interim(x, serial, reader) -> true | nil, err, errno: a 1xx that was received goes on to the client */
static int l_forward_interim(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    const struct http_reader *reader = l_http_reader(L, 3);
    if (x->conn->c.side[POLL_W].holder)
        return luaL_error(L, "another task writes this response");
    size_t before = buf_len(&x->out);
    int r = 0;
    if (hears_interim(x, reader->head.status)) {
        r = put_interim(&x->out, reader);
        if (r < 0)
            x->out.end = x->out.start + before;
        else
            x->continued |= reader->head.status == 100;
        http_server_flush_later(x);
    }
    return face_result(L, r);
}

/* The protocol that a 101 names; false: none, or one that nobody asked for. */
static int put_switch(struct buf *out, const struct http_reader *r, const char *asked, size_t n)
{
    const char *bytes = buf_at(&r->bytes);
    struct http_span one;
    size_t named = 0;
    int e = 0;
    for (int i = 0; e == 0 && i < r->head.count; i++) {
        const struct http_field *f = &r->head.fields[i];
        if (h1_parse_id(bytes + f->name.at, f->name.length) != HTTP_UPGRADE)
            continue;
        const char *value = bytes + f->value.at;
        for (size_t at = 0; http_hops_next(value, f->value.length, &at, &one); named++)
            if (one.length == 0 || !http_hops_lists(asked, n, value + one.at, one.length))
                return ERR_MALFORMED;
        e = h1_add_field(out, "Upgrade", 7, value, f->value.length);
    }
    return e == 0 && named != 1 ? ERR_MALFORMED : e;
}

/* http_forward_upgrade(reader, asked, writer) -> the text of a 101 for the client: another protocol follows it
 * | nil, err, errno: it is not one of those that were asked for. writer: another reader, whose memory is used */
static int l_forward_upgrade(lua_State *L)
{
    const struct http_reader *r = l_http_reader(L, 1);
    struct http_reader *writer = l_http_reader(L, 3);
    struct buf *out = &writer->bytes;
    size_t n;
    const char *asked = luaL_checklstring(L, 2, &n);
    http_client_begin(writer, false, 0);
    int e = PUT(out, "HTTP/1.1 101 Switching Protocols\r\n");
    e = e < 0 ? e : put_switch(out, r, asked, n);
    e = e < 0 ? e : PUT(out, "Connection: Upgrade\r\n");
    e = e < 0 ? e : copy_fields(out, r);
    e = e < 0 ? e : h1_end_head(out);
    if (e < 0)
        return face_error(L, e);
    lua_pushlstring(L, buf_at(out), buf_len(out));
    return 1;
}

/* http_forward_cut(x, serial) -> was a response under way? Nothing more of it is sent, and the client sees that. */
static int l_forward_cut(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    bool current = x->conn && (lua_Number)x->serial == lua_tonumber(L, 2) && x->framing.phase == HTTP_IN_BODY;
    if (current) {
        http_exchange_fail(x, !x->over && x->scope && x->scope->canceled ? ERR_CANCELED : ERR_CLOSED);
    }
    lua_pushboolean(L, current);
    return 1;
}

static const luaL_Reg functions[] = {
    {"http_forward_body", l_forward_body},         {"http_forward_cut", l_forward_cut},
    {"http_forward_interim", l_forward_interim},   {"http_forward_request", l_forward_request},
    {"http_forward_response", l_forward_response}, {"http_forward_upgrade", l_forward_upgrade},
    {"http_path_climbs", l_path_climbs},           {NULL, NULL},
};

void l_http_forward_open(lua_State *L) { face_functions(L, functions); }
