/* SPDX-License-Identifier: MIT */
/* l_conn.c - check, call, push. Results are built in the caller at once or, after a park, on the loop's stack: the same
 * function does both, and consumes nothing before its last push. */
#include "lua/l_conn.h"

#include "base/errors.h"
#include "base/hard.h"
#include "net/conn_read.h"
#include "net/conn_write.h"
#include "net/socket.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Bounds for reads that name none: what an unknown peer may make us hold. */

struct conn *l_conn_test(lua_State *L, int idx)
{
    return face_test(L, idx, &conn_mark, sizeof(struct conn));
}

static struct conn *of_kind(lua_State *L, enum conn_kind kind, const char *name)
{
    static const char *const kinds[] = {"a connection", "a listener", "a packet socket"};
    struct conn *c = face_self(L, 1, &conn_mark, sizeof *c, name);
    if (c->kind != kind)
        luaL_argerror(L, 1, lua_pushfstring(L, "%s expected, got %s", name, kinds[c->kind]));
    return c;
}

struct conn *l_conn_self(lua_State *L) { return of_kind(L, CONN_STREAM, "connection"); }
static struct conn *self(lua_State *L) { return l_conn_self(L); }
static struct conn *listener(lua_State *L) { return of_kind(L, CONN_LISTENER, "listener"); }
struct conn *l_conn_packet(lua_State *L) { return of_kind(L, CONN_PACKET, "packet socket"); }

struct conn *l_conn_any(lua_State *L)
{
    return face_self(L, 1, &conn_mark, sizeof(struct conn), "connection, listener or packet socket");
}

/* What has a peer: all but listeners. */
static struct conn *peered(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    return c && c->kind == CONN_PACKET ? c : self(L);
}

void l_conn_made_here(lua_State *L, struct ctx *cx, struct conn *c)
{
    if (c->id == 0)
        c->id = ++cx->last_id;
    if (!cx->trace_conns)
        return;
    c->site = face_site(cx, L);
    c->creator = face_running_id(cx);
}

struct conn *l_conn_new_of(lua_State *L, struct ctx *cx, int meta)
{
    struct conn *c = face_new(L, meta, sizeof *c);
    conn_init(c, &cx->loop);
    c->id = ++cx->last_id;
    l_conn_made_here(L, cx, c);
    return c;
}

struct conn *l_conn_new(lua_State *L, struct ctx *cx)
{
    return l_conn_new_of(L, cx, FACE_META_CONN);
}

/* ---- results ---- */

/* A finalizer may run inside the push and close c: `in` stays while it is pinned. Bytes in the scratch
 * would be gone if the push raised for good: then the stream is broken, and says so. */
static int push_bytes(lua_State *L, struct task *t, bool held)
{
    struct conn *c = t->wait.object;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    c->pinned = held;
    c->lost = !held;
    lua_pushlstring(L, held ? buf_at(&c->in) : c->loop->scratch, t->op.length);
    c->pinned = c->lost = false;
    c->taken += held ? t->op.total : t->op.length;
    if (held)
        buf_consume(&c->in, t->op.total);
    return 1;
}

static int push_read(lua_State *L, struct task *t)
{
    return push_bytes(L, t, OPERATION(t, struct conn_reading)->held);
}

int l_conn_push_held(lua_State *L, struct task *t) { return push_bytes(L, t, true); }

int l_conn_push_written(lua_State *L, struct task *t)
{
    int r = t->wait.result;
    if (r < 0 && face_error(L, r) == 2)
        lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)t->op.total);
    return r < 0 ? 4 : 1;
}

int l_conn_push_done(lua_State *L, struct task *t) { return face_result(L, t->wait.result); }

/* One of the arguments, made before the operation. */
static int push_argument(lua_State *L, const struct operation *op, int place)
{
    lua_pushvalue(op->stack, op->base + place);
    if (op->stack != L)
        lua_xmove(op->stack, L, 1);
    return 1;
}

static int push_accepted(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    return push_argument(L, &t->op, OPERATION(t, struct conn_accepting)->place);
}

int l_conn_push_connected(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    c->timeout = -1; /* the dial's, not the connection's */
    if (t->wait.result >= 0)
        return push_argument(L, &t->op, OPERATION(t, struct conn_connecting)->place);
    conn_close(c);
    return face_error(L, t->wait.result);
}

int l_conn_run(lua_State *L, struct task *t, struct conn *c, const struct conn_op *op, l_conn_push *push)
{
    t->op.stack = L;
    t->op.base = 1;
    t->op.push = push;
    int r = conn_start(c, t, op);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    t->wait.result = r;
    return face_return(L, t, push(L, t));
}

int l_conn_fail(lua_State *L, struct task *t, struct conn *c, int code, l_conn_push *push)
{
    t->op.total = 0;
    t->wait.object = c;
    t->wait.result = code;
    return face_return(L, t, push(L, t));
}

/* ---- reading ---- */

/* read([max]) -> 1..max bytes | nil, err, errno */
static int l_read(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    OPERATION(t, struct conn_reading)->limit = face_size(L, 2, 1, limits.scratch);
    return l_conn_run(L, t, c, &conn_read, push_read);
}

/* read_exactly(n) -> n bytes | nil, err, errno */
static int l_read_exactly(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    (void)face_number(L, 2);
    OPERATION(t, struct conn_reading)->limit = face_size(L, 2, 0, 0);
    return l_conn_run(L, t, c, &conn_read_exactly, l_conn_push_held);
}

/* read_line([max]) -> the line without its end | nil, err, errno */
static int l_read_line(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    OPERATION(t, struct conn_reading)->limit = face_size(L, 2, 1, CONN_LINE_MAX);
    buf_rewind(&c->in);
    return l_conn_run(L, t, c, &conn_read_line, l_conn_push_held);
}

/* receive_line([max]) -> the line up to LF, without its CRs | nil, err, errno */
static int l_receive_line(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    OPERATION(t, struct conn_reading)->limit = face_size(L, 2, 1, CONN_LINE_MAX);
    buf_rewind(&c->in);
    return l_conn_run(L, t, c, &conn_receive_line, l_conn_push_held);
}

/* bytes_taken(connection) -> how many bytes its reads have handed out */
static int l_bytes_taken(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)self(L)->taken);
    return 1;
}

/* read_until(delimiter[, max]) -> what stands before it | nil, err, errno */
static int l_read_until(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    struct conn_reading_until *u = OPERATION(t, struct conn_reading_until);
    u->delimiter = luaL_checklstring(L, 2, &u->delimiter_length);
    luaL_argcheck(L, u->delimiter_length > 0, 2, "the delimiter is empty");
    u->reading.limit = face_size(L, 3, 0, CONN_UNTIL_MAX);
    buf_rewind(&c->in);
    return l_conn_run(L, t, c, &conn_read_until, l_conn_push_held);
}

/* read_all([max]) -> everything up to the end | nil, err, errno */
static int l_read_all(lua_State *L)
{
    struct conn *c = self(L);
    struct task *t = face_task(L, face_ctx(L));
    OPERATION(t, struct conn_reading)->limit = face_size(L, 2, 0, CONN_ALL_MAX);
    return l_conn_run(L, t, c, &conn_read_all, l_conn_push_held);
}

static int l_wait_readable(lua_State *L)
{
    struct conn *c = peered(L);
    return l_conn_run(L, face_task(L, face_ctx(L)), c, &conn_readable, l_conn_push_done);
}

static int l_wait_writable(lua_State *L)
{
    struct conn *c = peered(L);
    return l_conn_run(L, face_task(L, face_ctx(L)), c, &conn_writable, l_conn_push_done);
}

static int l_close_write(lua_State *L)
{
    return face_result(L, conn_close_write(self(L)));
}

/* ---- listener ---- */

/* accept() -> connection | nil, err, errno */
static int l_accept(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct conn *c = listener(L);
    struct task *t = face_task(L, cx);
    lua_settop(L, 1);
    *OPERATION(t, struct conn_accepting) = (struct conn_accepting){.accepted = l_conn_new(L, cx), .place = 1};
    return l_conn_run(L, t, c, &conn_accept, push_accepted);
}

/* ---- both ---- */

static int l_close(lua_State *L)
{
    struct conn *c = l_conn_any(L);
    conn_close(c);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_gc(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1); /* NULL: not made to the end, or not ours */
    if (c)
        conn_fini(c);
    return 0;
}

static int push_address(lua_State *L, const struct conn *c, enum stream_end end)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    if (c->closed)
        return face_error(L, ERR_CLOSED);
    if (c->stream.fd < 0) {
        lua_pushstring(L, c->stream.ops->name);
        return 1;
    }
    int r = stream_address(&c->stream, end, &a);
    if (r < 0)
        return face_error(L, r);
    a.dgram = c->kind == CONN_PACKET;
    if (a.dgram)
        addr_unmap(&a);
    lua_pushlstring(L, text, addr_format(&a, text));
    return 1;
}

static int l_local_address(lua_State *L) { return push_address(L, l_conn_any(L), STREAM_LOCAL); }
static int l_peer_address(lua_State *L) { return push_address(L, peered(L), STREAM_PEER); }

static int l_fd(lua_State *L)
{
    struct conn *c = l_conn_any(L);
    if (c->closed)
        return face_error(L, ERR_CLOSED);
    if (c->stream.fd < 0)
        return 0;
    lua_pushinteger(L, c->stream.fd);
    return 1;
}

static void unknown_option(lua_State *L, const char *name)
{
    struct spelling s;
    spelling_begin(&s, name);
    for (size_t i = 0; (name = socket_option_name(i)); i++)
        spelling_try(&s, name);
    (void)face_unknown(L, 2, "option", &s);
}

static int option_type(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    int type = socket_option_type(name);
    if (type < 0)
        unknown_option(L, name);
    return type;
}

static int option_value(lua_State *L, int type)
{
    if (type == SOCKET_BOOL) {
        luaL_checktype(L, 3, LUA_TBOOLEAN);
        return lua_toboolean(L, 3);
    }
    if (type == SOCKET_LINGER && (lua_isnil(L, 3) || (lua_isboolean(L, 3) && !lua_toboolean(L, 3))))
        return -1;
    (void)face_number(L, 3);
    size_t n = face_size(L, 3, 0, 0);
    luaL_argcheck(L, n <= INT_MAX, 3, "out of range");
    return (int)n;
}

/* setoption(name, value) -> true | nil, err, errno */
static int l_setoption(lua_State *L)
{
    struct conn *c = l_conn_any(L);
    int value = option_value(L, option_type(L));
    return face_result(L, conn_set_option(c, lua_tostring(L, 2), value));
}

/* getoption(name) -> value | nil, err, errno */
static int l_getoption(lua_State *L)
{
    struct conn *c = l_conn_any(L);
    int type = option_type(L), value = 0;
    int r = conn_get_option(c, lua_tostring(L, 2), &value);
    if (r < 0)
        return face_error(L, r);
    if (type == SOCKET_BOOL || value < 0)
        lua_pushboolean(L, type == SOCKET_BOOL && value);
    else
        lua_pushinteger(L, value);
    return 1;
}

/* is_quiet() -> could the stream be used again: open, unused, nothing received */
static int l_is_quiet(lua_State *L)
{
    lua_pushboolean(L, conn_is_quiet(self(L)));
    return 1;
}

/* is_busy("r" | "w") -> does a task's operation run on that side */
static int l_is_busy(lua_State *L)
{
    static const char *const sides[] = {[POLL_R] = "r", [POLL_W] = "w", NULL};
    struct conn *c = self(L);
    lua_pushboolean(L, c->side[luaL_checkoption(L, 2, NULL, sides)].holder != NULL);
    return 1;
}

static int l_is_closed(lua_State *L)
{
    lua_pushboolean(L, l_conn_any(L)->closed);
    return 1;
}

static int l_is_listener(lua_State *L)
{
    struct conn *c = l_conn_any(L);
    if (c->kind == CONN_PACKET)
        return luaL_argerror(L, 1, "connection or listener expected, got a packet socket");
    lua_pushboolean(L, c->kind == CONN_LISTENER);
    return 1;
}

static int l_tostring(lua_State *L)
{
    char text[3 * ADDR_TEXT_MAX];
    conn_describe(l_conn_any(L), text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

const luaL_Reg l_conn_common[] = {
    {"__gc", l_gc},
    {"__tostring", l_tostring},
    {"close", l_close},
    {"fd", l_fd},
    {"getoption", l_getoption},
    {"is_closed", l_is_closed},
    {"local_address", l_local_address},
    {"peer_address", l_peer_address},
    {"setoption", l_setoption},
    {"wait_readable", l_wait_readable},
    {"wait_writable", l_wait_writable},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"accept", l_accept},
    {"close_write", l_close_write},
    {"is_busy", l_is_busy},
    {"is_listener", l_is_listener},
    {"is_quiet", l_is_quiet},
    {"read", l_read},
    {"read_all", l_read_all},
    {"read_exactly", l_read_exactly},
    {"read_line", l_read_line},
    {"read_until", l_read_until},
    {"receive_line", l_receive_line},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {{"bytes_taken", l_bytes_taken}, {NULL, NULL}};

void l_conn_open(lua_State *L)
{
    face_class(L, FACE_META_CONN, "moonpark.connection", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, l_conn_common);
    lua_setfield(L, -2, "conn_class");
    face_functions(L, functions);
}
