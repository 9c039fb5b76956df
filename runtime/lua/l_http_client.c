/* SPDX-License-Identifier: MIT */
/* l_http_client.c - check, call, push. A request's head is one string, checked to the last byte before any of it is
 * sent: what would be two requests to somebody behind us is refused. */
#include "lua/l_http_client.h"

#include "base/errors.h"
#include "base/hard.h"
#include "lua/l_conn.h"
#include "lua/l_http_head.h"

#include <errno.h>

static const char reader_mark = 0;

struct reader_face {
    const void *mark;
    struct http_reader r;
};

struct http_reader *l_http_reader(lua_State *L, int idx)
{
    struct reader_face *f = face_self(L, idx, &reader_mark, sizeof *f, "HTTP reader");
    return &f->r;
}

static struct conn *connection(lua_State *L, int idx)
{
    struct conn *c = l_conn_test(L, idx);
    luaL_argcheck(L, c && c->kind == CONN_STREAM, idx, "connection expected");
    return c;
}

/* ---- heads ---- */

static bool is_target(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] <= ' ' || bytes[i] == 127)
            return false; /* negative: not ASCII */
    return n > 0;
}

static int refuse(lua_State *L, const char *what, const char *name)
{
    lua_pushnil(L);
    lua_pushfstring(L, what, name);
    return 2;
}

/* Adds the field at -2 and -1 and takes both away: NULL, or what is wrong with it. */
static const char *put_field(lua_State *L, struct buf *out, int *r)
{
    size_t name_length, n;
    const char *wrong = NULL;
    const char *name = lua_tolstring(L, -2, &name_length), *value = lua_tolstring(L, -1, &n);
    if (!name || !h1_parse_is_token(name, name_length))
        wrong = "invalid header name '%s'";
    else if (!value || !h1_parse_is_value(value, n))
        wrong = "invalid value of header '%s'";
    else
        *r = h1_add_field(out, name, name_length, value, n);
    return wrong;
}

static int put_fields(lua_State *L, int idx, struct buf *out)
{
    int r = 0;
    for (int i = 1; r == 0; i += 2) {
        lua_rawgeti(L, idx, i);
        lua_rawgeti(L, idx, i + 1);
        if (lua_isnil(L, -2))
            break;
        const char *wrong = put_field(L, out, &r);
        if (wrong) {
            const char *name = lua_tostring(L, -2);
            return refuse(L, wrong, name ? name : luaL_typename(L, -2));
        }
        lua_pop(L, 2);
    }
    return r;
}

/* request(method, target, fields) -> the head's text | nil, what is wrong: it lies in the reader's memory meanwhile */
static int l_request(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    struct buf *out = &r->bytes;
    size_t method_length, target_length;
    const char *method = luaL_checklstring(L, 2, &method_length), *target = luaL_checklstring(L, 3, &target_length);
    luaL_checktype(L, 4, LUA_TTABLE);
    if (!h1_parse_is_token(method, method_length))
        return refuse(L, "invalid method '%s'", method);
    if (!is_target(target, target_length))
        return refuse(L, "invalid target '%s'", target);
    http_client_begin(r, false, 0);
    int e = buf_append(out, method, method_length);
    e = e < 0 ? e : buf_append(out, " ", 1);
    e = e < 0 ? e : buf_append(out, target, target_length);
    e = e < 0 ? e : buf_append(out, " HTTP/1.1\r\n", 11);
    e = e < 0 ? e : put_fields(L, 4, out);
    if (e > 0)
        return e;
    e = e < 0 ? e : h1_end_head(out);
    if (e < 0)
        return face_error(L, e);
    lua_pushlstring(L, buf_at(out), buf_len(out));
    return 1;
}

/* ---- reading ---- */

static int push_status(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushinteger(L, OPERATION(t, struct http_receiving)->reader->head.status);
    return 1;
}

static int push_body(lua_State *L, struct task *t)
{
    int n = l_conn_push_held(L, t);
    OPERATION(t, struct http_receiving)->reader->body.held &= t->wait.result < 0;
    return n;
}

/* http_reader() -> reader */
static int l_reader(lua_State *L)
{
    struct reader_face *f = face_new(L, FACE_META_HTTP_READER, sizeof *f);
    f->mark = &reader_mark;
    return 1;
}

static int l_gc(lua_State *L)
{
    struct reader_face *f = face_test(L, 1, &reader_mark, sizeof *f);
    if (f)
        http_client_fini(&f->r);
    return 0;
}

static int read_with(lua_State *L, const struct conn_op *op, size_t limit, l_conn_push *push)
{
    struct http_reader *r = l_http_reader(L, 1);
    struct conn *c = connection(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct http_receiving) = (struct http_receiving){.reader = r, .limit = limit};
    return l_conn_run(L, t, c, op, push);
}

/* head(connection, is the answer to a HEAD, bytes, is 100 wanted, are all interim ones) -> status | nil, err, errno */
static int l_head(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    http_client_begin(r, lua_toboolean(L, 3), face_size(L, 4, 1, 65536));
    r->continues = lua_toboolean(L, 5);
    r->relays = lua_toboolean(L, 6);
    return read_with(L, &http_client_head, 0, push_status);
}

/* read(connection, max) -> 1..max bytes of the body | nil, "eof" | nil, err, errno */
static int l_read(lua_State *L)
{
    return read_with(L, &http_client_body, face_size(L, 3, 1, limits.scratch), push_body);
}

/* whole(connection, max) -> all of a body framed by its length | nil, err, errno */
static int l_whole(lua_State *L)
{
    size_t limit = face_size(L, 3, 0, SIZE_MAX);
    if (l_http_reader(L, 1)->body.framing != HTTP_BY_LENGTH)
        return luaL_error(L, "body is not framed by its length");
    return read_with(L, &http_client_whole, limit, push_body);
}

/* framing() -> "none" | "length" | "chunks" | "end", bytes announced, is all of it read */
static int l_framing(lua_State *L)
{
    const struct http_reader *r = l_http_reader(L, 1);
    return l_http_head_push_framing(L, &r->head, &r->body);
}

/* status_line() -> reason, minor version */
static int l_status_line(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    lua_pushlstring(L, buf_at(&r->bytes) + r->head.reason.at, r->head.reason.length);
    lua_pushinteger(L, r->head.minor);
    return 2;
}

/* fields() -> {name, value, name, value, ...}: names in lower case */
static int l_fields(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    l_http_head_push(L, buf_at(&r->bytes), &r->head);
    return 1;
}

/* trailers() -> the same of the trailer section, once the body has been read */
static int l_trailers(lua_State *L)
{
    l_http_head_push_trailer(L, &l_http_reader(L, 1)->trailer);
    return 1;
}

/* is_reusable(connection) -> may another request follow on it? */
static int l_is_reusable(lua_State *L)
{
    lua_pushboolean(L, http_client_reusable(l_http_reader(L, 1), connection(L, 2)));
    return 1;
}

/* http_is_quiet(connection, sure) -> has nothing come on an idle one, not even its end? */
static int l_is_quiet(lua_State *L)
{
    lua_pushboolean(L, http_client_quiet(connection(L, 1), lua_toboolean(L, 2)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},       {"fields", l_fields},   {"framing", l_framing},         {"head", l_head},
    {"is_reusable", l_is_reusable}, {"read", l_read}, {"request", l_request}, {"status_line", l_status_line},
    {"trailers", l_trailers}, {"whole", l_whole}, {NULL, NULL},
};

static const luaL_Reg functions[] = {{"http_is_quiet", l_is_quiet}, {"http_reader", l_reader}, {NULL, NULL}};

void l_http_client_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_READER, "moonpark.http.reader", methods);
    face_functions(L, functions);
}
