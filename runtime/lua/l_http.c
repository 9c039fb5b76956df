/* SPDX-License-Identifier: MIT */
/* l_http.c - few calls, each of which does much: a plain request is two of them, take and send.
 *
 * An exchange is a worker's for as long as the worker lives. What a script holds of a request names its serial number
 * with each call: so a handle that is kept too long is told from the next request's. */
#include "lua/l_http.h"

#include "base/errors.h"
#include "http/http_keeper.h"
#include "lua/l_conn.h"
#include "net/conn_write.h"
#include "net/socket.h"

#include <errno.h>
#include <stdio.h>

static const char exchange_mark = 0;

struct exchange_face {
    const void *mark;
    struct http_exchange x;
};

struct http_exchange *l_http_exchange(lua_State *L)
{
    struct exchange_face *f = face_self(L, 1, &exchange_mark, sizeof *f, "HTTP exchange");
    return &f->x;
}

struct http_exchange *l_http_current(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    if (!x->conn || (lua_Number)x->serial != lua_tonumber(L, 2))
        luaL_error(L, "request has already finished");
    return x;
}

/* ---- results of operations on the server's connections ---- */

/* Of a write of what is in `out` and more. */
struct writing {
    struct conn_writing writing;
    struct http_exchange *exchange;
    const char *bytes; /* a string behind it */
    size_t n, behind;  /* of that, and 2 where CR LF follows */
};

/* How much of `out` belongs to a write: what lay there when it began. */
static size_t held_of(struct task *t)
{
    const struct writing *w = OPERATION(t, struct writing);
    return t->op.length - w->n - w->behind;
}

static int gather(struct task *t, struct iovec *iov, int max)
{
    const struct writing *w = OPERATION(t, struct writing);
    struct http_exchange *x = w->exchange;
    size_t held = held_of(t), skip = t->op.total;
    int n = 0;
    (void)max;
    if (skip < held)
        iov[n++] = (struct iovec){.iov_base = (char *)buf_at(&x->out) + skip, .iov_len = held - skip};
    skip = skip > held ? skip - held : 0;
    if (w->n > skip)
        iov[n++] = (struct iovec){.iov_base = (char *)w->bytes + skip, .iov_len = w->n - skip};
    skip = skip > w->n ? skip - w->n : 0;
    if (w->behind > skip)
        iov[n++] = (struct iovec){.iov_base = "\r\n" + skip, .iov_len = w->behind - skip};
    return n;
}

/* Is x still on the connection that the operation was on? A task that a handler has left behind may come too late. */
static bool is_on(const struct http_exchange *x, const struct task *t)
{
    return x->conn && &x->conn->c == t->wait.object && !x->conn->c.closed;
}

/* op.total bytes have left: of `out` first, and then of the string behind it. */
static void account(struct http_exchange *x, struct task *t, int r)
{
    struct operation *op = &t->op;
    struct writing *w = OPERATION(t, struct writing);
    size_t held = held_of(t), beyond = op->total > held ? op->total - held : 0;
    buf_consume(&x->out, base_min(op->total, held));
    if (r < 0)
        http_exchange_cut(x, r, w->n - base_min(beyond, w->n));
    op->length = w->n = w->behind = 0; /* once: the push may be called again */
    if (buf_len(&x->out) > 0)
        http_server_flush_later(x); /* what was added meanwhile */
}

static int push_written(lua_State *L, struct task *t)
{
    struct http_exchange *x = OPERATION(t, struct writing)->exchange;
    int r = t->wait.result;
    if (is_on(x, t))
        account(x, t, r);
    return face_result(L, r < 0 ? r : 0);
}

int l_http_push_body(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    struct http_exchange *x = OPERATION(t, struct http_reading)->exchange;
    if (t->wait.result >= 0) {
        c->pinned = true;
        lua_pushlstring(L, buf_at(&c->in), t->op.length);
        c->pinned = false;
        buf_consume(&c->in, t->op.total);
    }
    if (is_on(x, t)) {
        int r = t->wait.result;
        x->spoilt |= x->body.failure || r == ERR_TIMEOUT;
        x->spoilt |= r == ERR_TOO_LONG && x->body.trailing; /* its end is not looked for */
        x->body.held &= t->wait.result < 0;
        http_server_has_read(x);
    }
    return t->wait.result < 0 ? face_error(L, t->wait.result) : 1;
}

/* Bytes of a file: op.length of them, counted by the framing before. -> true, or nil, err, errno: then the client has
 * to see that something is missing, and the connection ends. */
int l_http_push_sent(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    struct http_exchange *x = c->closed ? NULL : http_conn_of(c)->exchange;
    int r = t->wait.result;
    if (x && r >= 0)
        r = h1_after_data(&x->framing, &x->out, t->op.length);
    if (r >= 0)
        return face_result(L, 0);
    if (x)
        http_exchange_cut(x, r, t->op.length - t->op.total);
    t->op.length = t->op.total; /* once: the push may be called again */
    return face_error(L, r);
}

/* What every handler wants at once: serial, method, path as it was sent. */
static int push_request(lua_State *L, const struct http_exchange *x)
{
    const struct http_span *method = &x->head.method, *path = &x->head.path;
    lua_pushnumber(L, (lua_Number)x->serial);
    lua_pushlstring(L, buf_at(&x->bytes) + method->at, method->length);
    if (path->length > 0)
        lua_pushlstring(L, buf_at(&x->bytes) + path->at, path->length);
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
    lua_pushnumber(L, (lua_Number)list_length(&s->waiting));
    if (r != HTTP_ACCEPT_FAILED)
        return 2;
    lua_pushstring(L, errors_text(s->accept_error));
    lua_pushnumber(L, (lua_Number)s->pause_length / 1e9);
    s->accept_error = 0;
    return 4;
}

const struct http_face l_http_face = {
    .taken = push_taken,
    .news = push_news,
};

/* ---- taking ---- */

int l_http_join(lua_State *L, struct http_server *s)
{
    struct task *t = face_task(L, face_ctx(L));
    struct exchange_face *f = face_new(L, FACE_META_HTTP_EXCHANGE, sizeof *f);
    lua_createtable(L, 1, 0); /* keeps the server */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    if (http_server_join(s, &f->x, t) < 0)
        return luaL_error(L, "not enough memory");
    f->mark = &exchange_mark;
    return 1;
}

static int l_gc(lua_State *L)
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

static int not_yet(lua_State *L, const char *why)
{
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
}

/* take([settled]) -> serial, method, path: the next request; the one in hand is over
 * -> false, "settle": its response has not ended | false, "rest": some of its body is to be dropped
 * -> false, "flush": its response is to be flushed; each: and then ask again. | nil, err
 * settled: a response that has not ended never will */
static int l_take(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    struct task *t = face_task(L, face_ctx(L));
    if (!x->conn)
        return take(L, t, x);
    http_server_over(x);
    enum http_left left = http_server_left(x);
    if (left == HTTP_LEFT_ANSWER && !lua_toboolean(L, 2))
        return not_yet(L, "settle");
    if (left == HTTP_LEFT_ANSWER)
        http_exchange_fail(x, ERR_CLOSED);
    x->serial++; /* handles of it are stale */
    if (left == HTTP_LEFT_REST)
        return not_yet(L, "rest");
    if (http_server_next(x))
        return face_return(L, t, push_request(L, x));
    if (!x->failure && !x->conn->c.closed && http_server_flush(x) == -EAGAIN)
        return not_yet(L, "flush");
    http_server_release(x);
    return take(L, t, x);
}

/* ---- for all ---- */

/* What was misuse raises again. */
int l_http_failed(lua_State *L, const struct http_exchange *x)
{
    struct task *t = face_task(L, face_ctx(L));
    if (x->failure == HTTP_TOO_SHORT)
        return luaL_error(L, "response body is shorter than its Content-Length");
    return face_return(L, t, face_error(L, x->failure)); /* a loop that does not look at this lets others run */
}

int l_http_write_out(lua_State *L, struct http_exchange *x, const char *bytes, size_t n, size_t behind)
{
    struct task *t = face_task(L, face_ctx(L));
    int r = n == 0 ? http_server_flush(x) : -EAGAIN;
    if (r == -EBUSY)
        return luaL_error(L, "another task is writing this response");
    if (r == 0)
        return face_return(L, t, face_result(L, 0));
    *OPERATION(t, struct writing) = (struct writing){
        .writing.gather = gather, .exchange = x, .bytes = bytes, .n = n, .behind = behind};
    t->op.length = buf_len(&x->out) + n + behind;
    t->op.total = 0;
    return l_conn_run(L, t, &x->conn->c, &conn_write, push_written);
}

/* flush() -> true | nil, err, errno */
static int l_flush(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    if (!x->conn)
        return face_error(L, ERR_CLOSED);
    if (x->failure)
        return l_http_failed(L, x);
    return l_http_write_out(L, x, NULL, 0, 0);
}

/* describe() -> what it is about, for a person */
static int l_describe(lua_State *L)
{
    const struct http_exchange *x = l_http_exchange(L);
    const struct http_span *method = &x->head.method, *target = &x->head.target;
    char peer[ADDR_TEXT_MAX] = "?", text[ADDR_TEXT_MAX + 300];
    const char *bytes = buf_at(&x->bytes);
    struct addr a;
    if (!x->conn) {
        lua_pushliteral(L, "http worker");
        return 1;
    }
    if (!x->conn->c.closed && socket_peer(x->conn->c.stream.fd, &a) == 0)
        (void)addr_format(&a, peer);
    if (method->length == 0)
        snprintf(text, sizeof text, "response to %s", peer);
    else
        snprintf(text, sizeof text, "%.*s %.*s from %s", (int)base_min(method->length, 32), bytes + method->at,
                 (int)base_min(target->length, 200), bytes + target->at, peer);
    lua_pushstring(L, text);
    return 1;
}

/* quit(): its worker ends, and the connection with it where it still has one */
static int l_quit(lua_State *L)
{
    struct http_exchange *x = l_http_exchange(L);
    http_exchange_fail(x, ERR_CLOSED);
    http_server_release(x);
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc}, {"describe", l_describe}, {"flush", l_flush}, {"quit", l_quit}, {"take", l_take}, {NULL, NULL},
};

void l_http_methods(lua_State *L, const luaL_Reg *more)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    face_functions(L, more);
    lua_pop(L, 1);
}

void l_http_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_EXCHANGE, "moonpark.http.exchange", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_HTTP_EXCHANGE);
    lua_setfield(L, -2, "http_exchange_class");
}
