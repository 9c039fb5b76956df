/* SPDX-License-Identifier: MIT */
/* l_http.c - few calls, each of which does much: a plain request is two of them, take and send.
 *
 * An exchange is a worker's for as long as the worker lives. What a script holds of a request names its serial number
 * with each call: so a handle that is kept too long is told from the next request's. */
#include "l_http.h"

#include "errors.h"
#include "hard.h"
#include "http_server.h"
#include "l_conn.h"
#include "socket.h"

#include <errno.h>
#include <string.h>

static const char server_mark = 0, exchange_mark = 0;

enum { INLINE_MAX = 16384 }; /* longer bodies are not copied behind their head, but written from where they are */

struct server_face {
    const void *mark;
    struct http_server server;
};

struct exchange_face {
    const void *mark;
    struct http_exchange x;
};

static struct http_server *server(lua_State *L)
{
    struct server_face *f = face_self(L, 1, &server_mark, sizeof *f, "HTTP server");
    return &f->server;
}

static struct http_exchange *exchange(lua_State *L)
{
    struct exchange_face *f = face_self(L, 1, &exchange_mark, sizeof *f, "HTTP exchange");
    return &f->x;
}

/* The exchange, where the request that the caller means (argument 2) is still the one in hand. */
static struct http_exchange *current(lua_State *L)
{
    struct http_exchange *x = exchange(L);
    if (!x->conn || (lua_Number)x->serial != lua_tonumber(L, 2))
        luaL_error(L, "this request is over");
    return x;
}

/* ---- results of operations on the server's connections ---- */

/* op.target: the exchange; op.bytes, op.from: a string behind what is in `out`; op.limit: 2 where CR LF follows. */
static int gather(struct task *t, struct iovec *iov, int max)
{
    struct http_exchange *x = t->op.target;
    size_t held = buf_len(&x->out), skip = t->op.total;
    int n = 0;
    (void)max;
    if (skip < held)
        iov[n++] = (struct iovec){.iov_base = (char *)buf_at(&x->out) + skip, .iov_len = held - skip};
    skip = skip > held ? skip - held : 0;
    if (t->op.from > skip)
        iov[n++] = (struct iovec){.iov_base = (char *)t->op.bytes + skip, .iov_len = t->op.from - skip};
    skip = skip > t->op.from ? skip - t->op.from : 0;
    if (t->op.limit > skip)
        iov[n++] = (struct iovec){.iov_base = "\r\n" + skip, .iov_len = t->op.limit - skip};
    return n;
}

static int push_written(lua_State *L, struct task *t)
{
    struct http_exchange *x = t->op.target;
    x->out.start = x->out.end = 0;
    if (t->wait.result >= 0)
        return face_result(L, 0);
    x->framing.keep_alive = false; /* who knows what has arrived */
    return face_error(L, t->wait.result);
}

static int push_body(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    c->pinned = true;
    lua_pushlstring(L, buf_at(&c->in) + t->op.from, t->op.length);
    c->pinned = false;
    buf_consume(&c->in, t->op.total);
    return 1;
}

static int push_result(lua_State *L, struct task *t)
{
    return t->op.code == CONN_WRITE ? push_written(L, t) : push_body(L, t);
}

static void push_span(lua_State *L, const struct http_exchange *x, struct http_span s)
{
    lua_pushlstring(L, buf_at(&x->bytes) + s.at, s.length);
}

/* What every handler wants at once: serial, method, path as it was sent. */
static int push_request(lua_State *L, struct http_exchange *x)
{
    lua_pushnumber(L, (lua_Number)x->serial);
    push_span(L, x, x->head.method);
    if (x->head.path.length > 0)
        push_span(L, x, x->head.path);
    else
        lua_pushliteral(L, "/");
    return 3;
}

static int push_taken(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    return push_request(L, t->wait.object);
}

static int push_news(lua_State *L, struct task *t)
{
    static const char *const words[] = {[HTTP_NO_WORKER] = "worker", [HTTP_ACCEPT_FAILED] = "accept",
                                        [HTTP_DRAINED] = "drained"};
    struct http_server *s = t->wait.object;
    int r = t->wait.result;
    if (r < 0)
        return face_error(L, r);
    lua_pushstring(L, words[r]);
    if (r != HTTP_ACCEPT_FAILED)
        return 1;
    lua_pushstring(L, errors_text(s->accept_error));
    lua_pushnumber(L, (lua_Number)s->pause_length / 1e9);
    s->accept_error = 0;
    return 3;
}

static const struct http_face http_face = {
    .conn = {.gather = gather, .push = push_result},
    .taken = push_taken,
    .news = push_news,
};

/* ---- servers ---- */

static lua_Number field(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    lua_Number n = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return n;
}

static uint32_t count_field(lua_State *L, int table, const char *name)
{
    lua_Number n = field(L, table, name);
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static int64_t time_field(lua_State *L, int table, const char *name)
{
    lua_Number n = field(L, table, name);
    return n <= 0 ? 0 : clock_ns(n);
}

/* http_server(listener, limits) -> server | nil, err, errno: the listener is the server's from now on */
static int l_server(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct conn *listener = l_conn_test(L, 1);
    luaL_argcheck(L, listener && listener->kind == CONN_LISTENER, 1, "listener expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    struct http_limits limits_ = {
        .head = count_field(L, 2, "head"),
        .connections = count_field(L, 2, "connections"),
        .requests = count_field(L, 2, "requests"),
        .workers = count_field(L, 2, "workers"),
        .body = (uint64_t)field(L, 2, "body"),
        .idle = time_field(L, 2, "idle"),
        .heading = time_field(L, 2, "heading"),
        .moving = time_field(L, 2, "moving"),
        .request = time_field(L, 2, "request"),
    };
    if (listener->closed)
        return face_error(L, ERR_CLOSED);
    if (listener->side[POLL_R].holder)
        return luaL_error(L, "somebody accepts on this listener");
    struct server_face *f = face_new(L, FACE_META_HTTP_SERVER, sizeof *f);
    f->mark = &server_mark;
    int r = http_server_open(&f->server, &cx->loop, listener, &http_face, &limits_);
    return r < 0 ? face_error(L, r) : 1;
}

/* keep() -> "worker" | "accept", err, seconds | "drained" | nil, err: what the keeper has to do next */
static int l_keep(lua_State *L)
{
    struct http_server *s = server(L);
    struct task *t = face_task(L, face_ctx(L));
    int r = http_server_keep(s, t);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.object = s;
    t->wait.result = r;
    return face_return(L, t, push_news(L, t));
}

static int l_drain(lua_State *L)
{
    http_server_drain(server(L));
    return 0;
}

static int l_close(lua_State *L)
{
    http_server_close(server(L));
    return 0;
}

/* stats() -> connections, requests served, heads refused, idle workers, requests that wait for one */
static int l_stats(lua_State *L)
{
    struct http_server *s = server(L);
    lua_pushnumber(L, s->count);
    lua_pushnumber(L, (lua_Number)s->served);
    lua_pushnumber(L, (lua_Number)s->refused);
    lua_pushnumber(L, s->idle_workers);
    lua_pushnumber(L, (lua_Number)list_length(&s->waiting));
    return 5;
}

static int l_server_gc(lua_State *L)
{
    struct server_face *f = face_test(L, 1, &server_mark, sizeof *f);
    if (f)
        http_server_fini(&f->server);
    return 0;
}

/* ---- exchanges ---- */

/* exchange(scope) -> exchange of the task that calls, a worker; scope: one that it has open */
static int l_exchange(lua_State *L)
{
    struct http_server *s = server(L);
    struct task *t = face_task(L, face_ctx(L));
    luaL_argcheck(L, t->scope, 1, "a task with a scope expected");
    struct exchange_face *f = face_new(L, FACE_META_HTTP_EXCHANGE, sizeof *f);
    f->mark = &exchange_mark;
    f->x.server = s;
    f->x.scope = t->scope;
    list_init(&f->x.waiter.link);
    lua_createtable(L, 1, 0); /* keeps the server */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    return 1;
}

static int l_exchange_gc(lua_State *L)
{
    struct exchange_face *f = face_test(L, 1, &exchange_mark, sizeof *f);
    if (f)
        http_server_drop(&f->x);
    return 0;
}

static int take(lua_State *L, struct task *t, struct http_exchange *x)
{
    int r = http_server_take(x, t);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.object = x;
    t->wait.result = r;
    return face_return(L, t, push_taken(L, t));
}

/* Is something left to do for the request in hand: a response, or a body that nobody has read? */
static bool is_unsettled(const struct http_exchange *x)
{
    return x->framing.phase != HTTP_SENT || (!x->body.over && x->framing.keep_alive && !x->gone);
}

/* abandon(): the request in hand is over, whatever was answered; where that was not all, its connection is closed */
static int l_abandon(lua_State *L)
{
    http_server_release(exchange(L));
    return 0;
}

/* take() -> serial, method, path: the next request; the one in hand is over
 * -> false: that one has to be answered, read or flushed first | nil, err */
static int l_take(lua_State *L)
{
    struct http_exchange *x = exchange(L);
    struct task *t = face_task(L, face_ctx(L));
    if (x->conn && is_unsettled(x)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (x->conn && http_server_next(x))
        return face_return(L, t, push_request(L, x));
    if (x->conn && http_server_flush(x) == -EAGAIN) {
        lua_pushboolean(L, 0);
        return 1;
    }
    http_server_release(x);
    return take(L, t, x);
}

/* ---- writing ---- */

/* Writes what is in `out`, and n bytes behind it that lie on the stack. */
static int write_out(lua_State *L, struct http_exchange *x, const char *bytes, size_t n, size_t behind)
{
    struct task *t = face_task(L, face_ctx(L));
    if (n == 0 && http_server_flush(x) == 0)
        return face_return(L, t, face_result(L, 0));
    t->op.target = x;
    t->op.bytes = bytes;
    t->op.from = n;
    t->op.limit = behind;
    t->op.length = buf_len(&x->out) + n + behind;
    t->op.total = 0;
    return l_conn_run(L, t, &x->conn->c, CONN_WRITE);
}

/* flush() -> true | nil, err, errno */
static int l_flush(lua_State *L)
{
    struct http_exchange *x = exchange(L);
    if (!x->conn)
        return face_error(L, ERR_CLOSED);
    return write_out(L, x, NULL, 0, 0);
}

static void check_field(lua_State *L, int idx)
{
    size_t n;
    const char *name = lua_tolstring(L, idx, &n);
    if (!name || !http_parse_is_token(name, n))
        luaL_error(L, "invalid header name '%s'", name ? name : luaL_typename(L, idx));
    const char *value = lua_tolstring(L, idx + 1, &n);
    if (!value || !http_parse_is_value(value, n))
        luaL_error(L, "invalid value of header '%s'", name);
}

/* Adds the fields of the flat table at idx: name, value, name, value, ... */
static int add_fields(lua_State *L, int idx, struct buf *out)
{
    for (int i = 1;; i += 2) {
        size_t name_length, n;
        lua_rawgeti(L, idx, i);
        lua_rawgeti(L, idx, i + 1);
        if (lua_isnil(L, -2)) {
            lua_pop(L, 2);
            return 0;
        }
        int top = lua_gettop(L);
        check_field(L, top - 1);
        const char *name = lua_tolstring(L, -2, &name_length), *value = lua_tolstring(L, -1, &n);
        int r = http_add_field(out, name, name_length, value, n);
        lua_pop(L, 2);
        if (r < 0)
            return r;
    }
}

static int check_status(lua_State *L, int idx)
{
    lua_Integer status = luaL_checkinteger(L, idx);
    luaL_argcheck(L, status >= 200 && status <= 999, idx, "status from 200 to 999 expected");
    return (int)status;
}

/* Writes a head into out. On any failure, raised ones too, out is as it was. */
static int put_head(lua_State *L, struct http_exchange *x, int status, int64_t length, int type, int fields)
{
    struct buf *out = &x->out;
    size_t n, before = buf_len(out);
    const char *content_type = lua_tolstring(L, type, &n);
    if (content_type && !http_parse_is_value(content_type, n))
        return luaL_error(L, "invalid value of header 'Content-Type'");
    int r = http_begin_response(&x->framing, &x->peer, out, status, length, http_server_date(x->server));
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail any more */
    if (r == 0 && content_type)
        r = http_add_field(out, "Content-Type", 12, content_type, n);
    if (r == 0 && lua_istable(L, fields))
        r = add_fields(L, fields, out);
    if (r == 0)
        r = http_end_head(out);
    if (r < 0)
        out->end = out->start + before;
    else
        x->framing.phase = HTTP_IN_BODY;
    return r;
}

/* send(serial, status, body, content type | nil, fields | nil) -> true | nil, err, errno */
static int l_send(lua_State *L)
{
    struct http_exchange *x = current(L);
    size_t n;
    int status = check_status(L, 3);
    const char *body = luaL_checklstring(L, 4, &n);
    if (x->framing.phase != HTTP_UNSENT)
        return luaL_error(L, "the response was sent already");
    x->out.end = x->out.start + x->mark;
    int r = put_head(L, x, status, (int64_t)n, 5, 6);
    if (r < 0)
        return face_error(L, r);
    bool muted = x->framing.mute;
    x->framing.phase = HTTP_SENT;
    x->framing.left = 0;
    if (!muted && n > INLINE_MAX)
        return write_out(L, x, body, n, 0);
    if (!muted && buf_append(&x->out, body, n) < 0) {
        x->framing.keep_alive = false;
        return face_error(L, -ENOMEM);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* begin(serial, status, length | nil, content type | nil, fields | nil) -> true | nil, err: a body follows in pieces */
static int l_begin(lua_State *L)
{
    struct http_exchange *x = current(L);
    int status = check_status(L, 3);
    int64_t length = lua_isnoneornil(L, 4) ? -1 : (int64_t)face_size(L, 4, 0, 0);
    if (x->framing.phase != HTTP_UNSENT)
        return luaL_error(L, "the response was sent already");
    return face_result(L, put_head(L, x, status, length, 5, 6));
}

/* write(serial, data) -> true | nil, err, errno: it has left when this returns, as far as the system takes it */
static int l_write(lua_State *L)
{
    struct http_exchange *x = current(L);
    size_t n;
    bool muted;
    const char *data = luaL_checklstring(L, 3, &n);
    if (x->framing.phase != HTTP_IN_BODY)
        return luaL_error(L, "the response is over, or has not begun");
    int r = http_before_data(&x->framing, &x->out, n, &muted);
    if (r == HTTP_TOO_LONG)
        return luaL_error(L, "the body is longer than the Content-Length that was sent");
    if (r == 0 && !muted && n <= INLINE_MAX)
        r = buf_append(&x->out, data, n);
    if (r == 0 && (n <= INLINE_MAX || muted))
        r = http_after_data(&x->framing, &x->out, n);
    if (r < 0) {
        x->framing.keep_alive = false;
        return face_error(L, r);
    }
    if (n <= INLINE_MAX || muted)
        return write_out(L, x, NULL, 0, 0);
    if (x->framing.framing == HTTP_BY_LENGTH)
        x->framing.left -= n;
    return write_out(L, x, data, n, x->framing.framing == HTTP_BY_CHUNKS ? 2 : 0);
}

/* finish(serial) -> true | nil, err: the body is over; raises where less came than was announced */
static int l_finish(lua_State *L)
{
    struct http_exchange *x = current(L);
    if (x->framing.phase != HTTP_IN_BODY)
        return luaL_error(L, "the response is over, or has not begun");
    int r = http_finish(&x->framing, &x->out);
    if (r == HTTP_TOO_SHORT)
        return luaL_error(L, "the body is shorter than the Content-Length that was sent");
    return face_result(L, r);
}

/* phase(serial) -> "unsent" | "body" | "sent" */
static int l_phase(lua_State *L)
{
    static const char *const words[] = {[HTTP_UNSENT] = "unsent", [HTTP_IN_BODY] = "body", [HTTP_SENT] = "sent"};
    lua_pushstring(L, words[current(L)->framing.phase]);
    return 1;
}

/* ---- the request ---- */

/* A client that asked whether it may send its body is told so when somebody reads it. */
static int welcome(struct http_exchange *x)
{
    static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct conn *c = &x->conn->c;
    struct iovec iov = {.iov_base = (char *)words, .iov_len = sizeof words - 1};
    if (x->continued || buf_len(&c->in) > 0)
        return 0;
    x->continued = true;
    for (size_t done = 0; done < sizeof words - 1;) {
        iov = (struct iovec){.iov_base = (char *)words + done, .iov_len = sizeof words - 1 - done};
        ssize_t sent = c->stream.ops->write(&c->stream, &iov, 1);
        if (sent < 0)
            return (int)sent; /* an empty socket takes these few bytes */
        done += (size_t)sent;
    }
    return 0;
}

static int read_body(lua_State *L, enum conn_op op, size_t otherwise)
{
    struct http_exchange *x = current(L);
    struct task *t = face_task(L, face_ctx(L));
    t->op.limit = face_size(L, 3, 1, otherwise);
    int r = x->body.over ? 0 : welcome(x);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    return l_conn_run(L, t, &x->conn->c, op);
}

/* read(serial[, max]) -> 1..max bytes of the body | nil, "eof" | nil, err, errno */
static int l_read(lua_State *L) { return read_body(L, CONN_BODY, limits.scratch); }

/* whole(serial, max) -> all of a body framed by its length | nil, err, errno */
static int l_whole(lua_State *L)
{
    struct http_exchange *x = current(L);
    if (x->body.over) {
        lua_pushliteral(L, "");
        return 1;
    }
    return read_body(L, CONN_WHOLE, SIZE_MAX);
}

/* framing(serial) -> "none" | "length" | "chunks", bytes announced, is all of it read */
static int l_framing(lua_State *L)
{
    static const char *const words[] = {[HTTP_NO_BODY] = "none", [HTTP_BY_LENGTH] = "length",
                                        [HTTP_BY_CHUNKS] = "chunks"};
    struct http_exchange *x = current(L);
    lua_pushstring(L, words[x->body.framing]);
    if (x->head.content_length >= 0)
        lua_pushnumber(L, (lua_Number)x->head.content_length);
    else
        lua_pushnil(L);
    lua_pushboolean(L, x->body.over);
    return 3;
}

/* is_serial(serial) -> is it the request in hand? */
static int l_is_serial(lua_State *L)
{
    struct http_exchange *x = exchange(L);
    lua_pushboolean(L, x->conn && (lua_Number)x->serial == lua_tonumber(L, 2));
    return 1;
}

/* unread(serial) -> is there body left that somebody must read before the next request? */
static int l_unread(lua_State *L)
{
    struct http_exchange *x = current(L);
    lua_pushboolean(L, !x->body.over && !x->gone && x->framing.keep_alive);
    return 1;
}

/* limit(serial, bytes): how much of the body is taken */
static int l_limit(lua_State *L)
{
    struct http_exchange *x = current(L);
    x->limit = face_size(L, 3, 0, 0);
    return 0;
}

static bool same_name(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] | 0x20) : a[i];
        char d = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] | 0x20) : b[i];
        if (c != d)
            return false;
    }
    return true;
}

/* field(serial, name) -> the value, those of repeated fields joined by ", " | nil */
static int l_field(lua_State *L)
{
    struct http_exchange *x = current(L);
    size_t n;
    const char *name = luaL_checklstring(L, 3, &n);
    int found = 0;
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        if (f->name.length != n || !same_name(buf_at(&x->bytes) + f->name.at, name, n))
            continue;
        if (found++)
            lua_pushliteral(L, ", ");
        push_span(L, x, f->value);
        if (found > 1)
            lua_concat(L, 3);
    }
    return found > 0;
}

static void push_lower(lua_State *L, const char *name, size_t n)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++)
        luaL_addchar(&b, (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]));
    luaL_pushresult(&b);
}

static void push_fields(lua_State *L, const char *bytes, const struct http_head *head)
{
    lua_createtable(L, 2 * head->count, 0);
    for (int i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];
        push_lower(L, bytes + f->name.at, f->name.length);
        lua_rawseti(L, -2, 2 * i + 1);
        lua_pushlstring(L, bytes + f->value.at, f->value.length);
        lua_rawseti(L, -2, 2 * i + 2);
    }
}

/* fields(serial) -> {name, value, name, value, ...}: names in lower case */
static int l_fields(lua_State *L)
{
    struct http_exchange *x = current(L);
    push_fields(L, buf_at(&x->bytes), &x->head);
    return 1;
}

/* trailers(serial) -> the same of the trailer section, once the body has been read */
static int l_trailers(lua_State *L)
{
    struct http_exchange *x = current(L);
    struct http_head head = {.count = 0};
    if (buf_len(&x->trailer) > 0)
        must(http_parse_trailers(&head, buf_at(&x->trailer), buf_len(&x->trailer)) > 0);
    push_fields(L, buf_at(&x->trailer), &head);
    return 1;
}

/* target(serial) -> target, query | nil, authority, minor version, form */
static int l_target(lua_State *L)
{
    static const char *const forms[] = {[HTTP_ORIGIN] = "origin", [HTTP_ABSOLUTE] = "absolute",
                                        [HTTP_AUTHORITY] = "authority", [HTTP_ASTERISK] = "asterisk"};
    struct http_exchange *x = current(L);
    push_span(L, x, x->head.target);
    if (x->head.has_query)
        push_span(L, x, x->head.query);
    else
        lua_pushnil(L);
    push_span(L, x, x->head.authority);
    lua_pushinteger(L, x->head.minor);
    lua_pushstring(L, forms[x->head.form]);
    return 5;
}

/* peer(serial) -> the client's address */
static int l_peer(lua_State *L)
{
    struct http_exchange *x = current(L);
    char text[ADDR_TEXT_MAX];
    struct addr a;
    int r = socket_peer(x->conn->c.stream.fd, &a);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, text, addr_format(&a, text));
    return 1;
}

/* is_gone(serial) -> has the client left? */
static int l_is_gone(lua_State *L)
{
    lua_pushboolean(L, current(L)->gone);
    return 1;
}

/* keep_alive(serial, false): the connection ends with this response */
static int l_keep_alive(lua_State *L)
{
    struct http_exchange *x = current(L);
    x->peer.keep_alive &= lua_toboolean(L, 3);
    lua_pushboolean(L, x->peer.keep_alive);
    return 1;
}

/* hijack(serial) -> connection: the script's from now on, what was received behind the head included */
static int l_hijack(lua_State *L)
{
    struct http_exchange *x = current(L);
    if (x->framing.phase != HTTP_UNSENT || buf_len(&x->out) > x->mark)
        return luaL_error(L, "the response has begun already");
    struct conn *c = l_conn_new(L, face_ctx(L));
    http_server_hijack(x, c);
    return 1;
}

static const luaL_Reg server_methods[] = {
    {"__gc", l_server_gc}, {"close", l_close},       {"drain", l_drain},
    {"exchange", l_exchange}, {"keep", l_keep},      {"stats", l_stats}, {NULL, NULL},
};

static const luaL_Reg exchange_methods[] = {
    {"__gc", l_exchange_gc}, {"abandon", l_abandon}, {"begin", l_begin},     {"field", l_field},     {"fields", l_fields},
    {"finish", l_finish},    {"flush", l_flush},     {"framing", l_framing}, {"hijack", l_hijack},
    {"is_gone", l_is_gone}, {"is_serial", l_is_serial},  {"keep_alive", l_keep_alive}, {"limit", l_limit}, {"peer", l_peer},
    {"phase", l_phase},      {"read", l_read},       {"send", l_send},       {"take", l_take},
    {"target", l_target},    {"trailers", l_trailers}, {"unread", l_unread}, {"whole", l_whole},   {"write", l_write},
    {NULL, NULL},
};

/* http_reason(status) -> its phrase, or "" */
static int l_reason(lua_State *L)
{
    lua_pushstring(L, http_reason((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* percent_decode(text, plus) -> text | nil: a '%' without two digits */
static int l_percent_decode(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    char *to = lua_newuserdata(L, n + 1);
    ptrdiff_t length = http_parse_percent(to, text, n, lua_toboolean(L, 2));
    if (length < 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, to, (size_t)length);
    return 1;
}

static const luaL_Reg functions[] = {
    {"http_reason", l_reason}, {"http_server", l_server}, {"percent_decode", l_percent_decode}, {NULL, NULL}};

void l_http_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_SERVER, "moonpark.http.server", server_methods);
    face_class(L, FACE_META_HTTP_EXCHANGE, "moonpark.http.exchange", exchange_methods);
    face_functions(L, functions);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    lua_setfield(L, -2, "http_exchange_class");
}
