/* SPDX-License-Identifier: MIT */
/* l_http_log.c - the combined log format of Apache and nginx: a line is written in one call, once its response is over.
 *
 * Text from clients is escaped, so that it cannot add lines or send control bytes to a terminal. */
#include "lua/faces.h"

#include "lua/l_http.h"
#include "lua/l_stdout.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { ESCAPED = 4 };   /* bytes that one may become: "\xHH" */
enum { OTHERS = 768 };  /* the most bytes of a line besides those of clients and of the script */

static char *put(char *at, const char *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

static char *put_escaped(char *at, struct http_text text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
            *at++ = (char)c;
            continue;
        }
        at = put(at, "\\x", 2);
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return at;
}

static struct http_text text_of(const struct http_exchange *x, struct http_span s)
{
    return (struct http_text){buf_at(&x->bytes) + s.at, s.length};
}

/* The value of the first field of that name, or "-". */
static struct http_text field(const struct http_exchange *x, const char *name, size_t n)
{
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (f->name.length == n && strncasecmp(buf_at(&x->bytes) + f->name.at, name, n) == 0)
            return text_of(x, f->value);
    }
    return (struct http_text){"-", 1};
}

struct logged {
    struct http_text method, target, referer, agent;
    bool is_old; /* HTTP/1.0 */
};

static struct logged logged(const struct http_exchange *x)
{
    return (struct logged){text_of(x, x->head.method), text_of(x, x->head.target), field(x, "referer", 7),
                           field(x, "user-agent", 10), x->head.minor == 0};
}

static size_t longest(const struct logged *l)
{
    return OTHERS + ESCAPED * (l->method.length + l->target.length + l->referer.length + l->agent.length);
}

static char *put_request(char *at, const struct logged *l)
{
    *at++ = '"';
    at = put_escaped(at, l->method);
    *at++ = ' ';
    at = put_escaped(at, l->target);
    return put(at, l->is_old ? " HTTP/1.0\"" : " HTTP/1.1\"", 10);
}

static char *put_from(char *at, const struct logged *l)
{
    *at++ = '"';
    at = put_escaped(at, l->referer);
    at = put(at, "\" \"", 3);
    at = put_escaped(at, l->agent);
    *at++ = '"';
    return at;
}

/* Of "127.0.0.1:5000", "[::1]:5000" or "unix:/path" without the port and the brackets. */
static char *put_host(char *at, struct http_exchange *x)
{
    char text[ADDR_TEXT_MAX];
    int n = http_conn_client(x->conn, text);
    const char *colon = n > 0 && strncmp(text, "unix:", 5) != 0 ? strrchr(text, ':') : NULL;
    struct http_text host = {n > 0 ? text : "-", colon ? (size_t)(colon - text) : n > 0 ? (size_t)n : 1};
    if (colon && host.length > 2 && host.at[0] == '[')
        host = (struct http_text){host.at + 1, host.length - 2};
    return put_escaped(at, host); /* a unix path may be anything */
}

/* "[28/Nov/2026:21:32:59 +0000]", from the Date field's "Sat, 28 Nov 2026 21:32:59 GMT" */
static char *put_time(char *at, const char *date)
{
    *at++ = '[';
    at = put(at, date + 5, 2);
    *at++ = '/';
    at = put(at, date + 8, 3);
    *at++ = '/';
    at = put(at, date + 12, 4);
    *at++ = ':';
    at = put(at, date + 17, 8);
    return put(at, " +0000]", 7);
}

static char *put_number(char *at, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(at, digits + i, sizeof digits - i);
}

static char *put_sent(char *at, const struct http_exchange *x)
{
    at = put_number(at, (uint64_t)exchange_status(x));
    *at++ = ' ';
    if (exchange_bytes(x) > 0)
        return put_number(at, exchange_bytes(x));
    *at++ = '-';
    return at;
}

/* Appends a line without its end. Returns 0 or -ENOMEM. */
static int add_line(struct buf *out, struct http_exchange *x, struct http_text user)
{
    struct logged l = logged(x);
    char *begin = buf_reserve(out, longest(&l) + user.length), *at = begin;
    if (!begin)
        return -ENOMEM;
    at = put_host(at, x);
    at = put(at, " - ", 3);
    at = put(at, user.at, user.length);
    *at++ = ' ';
    at = put_time(at, http_conn_date(x->server));
    *at++ = ' ';
    at = put_request(at, &l);
    *at++ = ' ';
    at = put_sent(at, x);
    *at++ = ' ';
    at = put_from(at, &l);
    buf_commit(out, (size_t)(at - begin));
    return 0;
}

static struct http_text user(lua_State *L)
{
    return lua_isnoneornil(L, 3) ? (struct http_text){"-", 1} : l_http_text(L, 3);
}

/* log_to_stdout(serial, user | nil): writes its line to the standard output, see l_stdout.c */
static int l_log_to_stdout(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct http_text name = user(L); /* first: it may run a finalizer, which takes the connection away */
    size_t before = buf_len(&cx->stdout_lines);
    if (add_line(&cx->stdout_lines, l_http_current(L), name) < 0)
        return luaL_error(L, "not enough memory");
    buf_reserve(&cx->stdout_lines, 1)[0] = '\n'; /* add_line has left room */
    buf_commit(&cx->stdout_lines, 1);
    l_stdout_added(cx, before);
    return 0;
}

/* log_line(serial, user | nil) -> its line */
static int l_log_line(lua_State *L)
{
    struct http_text name = user(L);
    struct logged l = logged(l_http_current(L));
    size_t most = longest(&l) + name.length;
    struct buf line = {.bytes = lua_newuserdata(L, most), .capacity = most};
    must(add_line(&line, l_http_current(L), name) == 0);
    lua_pushlstring(L, buf_at(&line), buf_len(&line));
    return 1;
}

/* logged(serial) -> "METHOD target HTTP/1.1" in quotes; its Referer and its User-Agent in quotes */
static int l_logged(lua_State *L)
{
    struct logged l = logged(l_http_current(L));
    char *copy = lua_newuserdata(L, longest(&l));
    l = logged(l_http_current(L));
    char *middle = put_request(copy, &l), *end = put_from(middle, &l);
    lua_pushlstring(L, copy, (size_t)(middle - copy));
    lua_pushlstring(L, middle, (size_t)(end - middle));
    return 2;
}

/* note_client(serial): its line can have the client's address once the connection has broken */
static int l_note_client(lua_State *L)
{
    char text[ADDR_TEXT_MAX];
    (void)http_conn_client(l_http_current(L)->conn, text);
    return 0;
}

static const luaL_Reg methods[] = {
    {"log_line", l_log_line}, {"log_to_stdout", l_log_to_stdout}, {"logged", l_logged},
    {"note_client", l_note_client}, {NULL, NULL},
};

void l_http_log_open(lua_State *L) { l_http_methods(L, methods); }
