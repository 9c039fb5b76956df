/* SPDX-License-Identifier: MIT */
/* l_http_client.c - check, call, push. A request's head is one string, checked to the last byte before any of it is
 * sent: anything that a server further on could read as two requests is refused. */
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

static struct http_text text(lua_State *L, int idx)
{
    struct http_text s;
    s.at = luaL_checklstring(L, idx, &s.length);
    return s;
}

/* ---- heads ---- */

static int refuse(lua_State *L, enum http_wrong wrong, const char *what)
{
    static const char *const words[] = {
        [HTTP_WRONG_METHOD] = "invalid method '%s'", [HTTP_WRONG_TARGET] = "invalid target '%s'",
        [HTTP_WRONG_NAME] = "invalid header name '%s'", [HTTP_WRONG_VALUE] = "invalid value of header '%s'",
    };
    lua_pushnil(L);
    lua_pushfstring(L, words[wrong], what);
    return 2;
}

/* Adds the field at -2 and -1: 0, or how the face function ends. */
static int add_field(lua_State *L, struct http_reader *r)
{
    struct http_text name, value;
    name.at = lua_tolstring(L, -2, &name.length);
    value.at = lua_tolstring(L, -1, &value.length);
    int e = !name.at ? HTTP_WRONG_NAME : !value.at ? HTTP_WRONG_VALUE : http_client_field(r, name, value);
    if (e < 0)
        return face_error(L, e);
    return e > 0 ? refuse(L, (enum http_wrong)e, name.at ? name.at : luaL_typename(L, -2)) : 0;
}

static int add_fields(lua_State *L, int idx, struct http_reader *r)
{
    for (int i = 1;; i += 2) {
        lua_rawgeti(L, idx, i);
        lua_rawgeti(L, idx, i + 1);
        if (lua_isnil(L, -2))
            return 0;
        int pushed = add_field(L, r);
        if (pushed > 0)
            return pushed;
        lua_pop(L, 2);
    }
}

/* Bytes of a request's body; nil: it has none, true: nobody knows. */
static int64_t check_length(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return HTTP_LENGTH_NONE;
    return lua_isboolean(L, idx) ? HTTP_LENGTH_UNKNOWN : (int64_t)face_number(L, idx);
}

/* request(method, target, fields[, length[, expect[, protocol[, last]]]]) -> the head's text | nil, what is wrong: it
 * lies in the reader's memory meanwhile. What the last four say is written after the fields: see struct http_ending */
static int l_request(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    const struct http_start start = {.method = text(L, 2), .path = text(L, 3)};
    const struct http_ending ending = {
        .length = check_length(L, 5), .expect = lua_toboolean(L, 6),
        .protocols = lua_toboolean(L, 7) ? text(L, 7) : (struct http_text){0}, .last = lua_toboolean(L, 8),
    };
    luaL_checktype(L, 4, LUA_TTABLE);
    int e = http_client_start(r, &start);
    if (e > 0)
        return refuse(L, (enum http_wrong)e, e == HTTP_WRONG_METHOD ? start.method.at : start.path.at);
    int pushed = e < 0 ? 0 : add_fields(L, 4, r);
    if (pushed > 0)
        return pushed;
    e = e < 0 ? e : http_client_end(r, &ending);
    if (e > 0)
        return refuse(L, (enum http_wrong)e, "Upgrade");
    if (e < 0)
        return face_error(L, e);
    lua_pushlstring(L, buf_at(&r->bytes), buf_len(&r->bytes));
    return 1;
}

/* ---- bodies ---- */

static struct conn *free_to_write(lua_State *L, int idx)
{
    struct conn *c = connection(L, idx);
    if (c->side[POLL_W].holder)
        luaL_error(L, "another task is writing this request");
    return c;
}

static int write_with(lua_State *L, struct task *t, struct conn *c, int e)
{
    if (e == HTTP_TOO_LONG || e == HTTP_TOO_SHORT) {
        lua_pushnil(L);
        lua_pushfstring(L, "body is %s than its Content-Length", e == HTTP_TOO_LONG ? "longer" : "shorter");
        lua_pushnil(L);
        lua_pushboolean(L, 1);
        return face_return(L, t, 4);
    }
    return e < 0 ? face_return(L, t, face_error(L, e)) : l_conn_run(L, t, c, &conn_write, l_conn_push_done);
}

/* begin(connection, head, length, data | nil) -> as send(): a request begins, which has a body of that length; data is
 * what is here of it */
static int l_begin(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    struct conn *c = free_to_write(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    struct http_text head = text(L, 3), data = lua_toboolean(L, 5) ? text(L, 5) : (struct http_text){0};
    http_client_sends(r, check_length(L, 4));
    return write_with(L, t, c, http_client_send(r, t, head, data));
}

/* send(connection, data) -> true | nil, err, errno, is that the caller's mistake */
static int l_send(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    struct conn *c = free_to_write(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    return write_with(L, t, c, http_client_send(r, t, (struct http_text){0}, text(L, 3)));
}

/* finish(connection) -> as send(): all of the body was sent */
static int l_finish(lua_State *L)
{
    struct http_reader *r = l_http_reader(L, 1);
    struct conn *c = free_to_write(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    int e = http_client_finish(r, t);
    if (e == 0 && t->op.length == 0)
        return face_return(L, t, face_result(L, 0));
    return write_with(L, t, c, e);
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
    http_client_init(&f->r);
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
    return read_with(L, http_client_head(r), 0, push_status);
}

/* read(connection, max) -> 1..max bytes of the body | nil, "eof" | nil, err, errno */
static int l_read(lua_State *L)
{
    return read_with(L, http_client_some(l_http_reader(L, 1)), face_size(L, 3, 1, limits.scratch), push_body);
}

/* whole(connection, max) -> all of a body framed by its length | nil, err, errno */
static int l_whole(lua_State *L)
{
    const struct http_reader *r = l_http_reader(L, 1);
    size_t limit = face_size(L, 3, 0, SIZE_MAX);
    if (!http_client_has_length(r))
        return luaL_error(L, "body is not framed by its length");
    return read_with(L, http_client_all(r), limit, push_body);
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
    {"__gc", l_gc},           {"begin", l_begin},     {"fields", l_fields},     {"finish", l_finish},
    {"framing", l_framing},   {"head", l_head},       {"is_reusable", l_is_reusable}, {"read", l_read},
    {"request", l_request},   {"send", l_send},       {"status_line", l_status_line}, {"trailers", l_trailers},
    {"whole", l_whole},       {NULL, NULL},
};

static const luaL_Reg functions[] = {{"http_is_quiet", l_is_quiet}, {"http_reader", l_reader}, {NULL, NULL}};

void l_http_client_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_READER, "moonpark.http.reader", methods);
    face_functions(L, functions);
}
