/* SPDX-License-Identifier: MIT */
/* l_ws.c - the Lua face of WebSockets: a receive and a send are one call each. What a socket is to its users (which
 * handshake, which options) is in lua/moonpark/http/websocket.lua. */
#include "lua/l_ws.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "ws/ws_idle.h"
#include "ws/ws_pack.h"
#include "ws/ws_receive.h"
#include "ws/ws_send.h"

#include <errno.h>
#include <string.h>

static const char socket_mark = 0;

struct socket_face {
    const void *mark;
    struct ws_socket w;
};

struct ws_socket *l_ws_socket(lua_State *L, int idx)
{
    struct socket_face *f = face_self(L, idx, &socket_mark, sizeof *f, "WebSocket");
    return &f->w;
}

static struct ws_socket *self(lua_State *L) { return l_ws_socket(L, 1); }

/* ---- receiving ---- */

static int push_received(lua_State *L, struct task *t)
{
    struct ws_socket *w = ws_socket_of(t->wait.object);
    if (t->wait.result < 0)
        return face_error(L, ws_receive_failed(t));
    w->c.pinned = true; /* a finalizer that runs while the string is made may close it */
    lua_pushlstring(L, ws_receive_bytes(w), t->op.length);
    if (w->kind == WS_TEXT)
        lua_pushliteral(L, "text");
    else
        lua_pushliteral(L, "binary");
    lua_pushboolean(L, ws_receive_is_last(w));
    ws_receive_handed(w);
    ws_socket_unpin(w);
    return 3;
}

static int receive(lua_State *L, const struct conn_op *op)
{
    struct ws_socket *w = self(L);
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct ws_receiving) = (struct ws_receiving){0};
    w->c.timeout = face_timeout(L, 2);
    return l_conn_run(L, t, &w->c, op, push_received);
}

/* receive([seconds]) -> message, "text" | "binary", true | nil, err, errno */
static int l_receive(lua_State *L) { return receive(L, &ws_receive); }

/* receive_some([seconds]) -> some bytes of a message, its kind, do they end it? | nil, err, errno */
static int l_receive_some(lua_State *L) { return receive(L, &ws_receive_some); }

/* ---- sending ---- */

static int push_sent(lua_State *L, struct task *t) { return face_result(L, ws_send_ended(t)); }

void l_ws_check_text(lua_State *L, const char *bytes, size_t n)
{
    struct ws_utf8 u = {0};
    luaL_argcheck(L, ws_utf8_take(&u, bytes, n) && ws_utf8_is_whole(&u), 2, "text is not valid UTF-8");
}

static int send_frame(lua_State *L, struct ws_socket *w, enum ws_opcode opcode, bool last)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    struct task *t = face_task(L, face_ctx(L));
    if (opcode == WS_TEXT && last)
        l_ws_check_text(L, bytes, n);
    ws_send_prepare(w, t, opcode, bytes, n, last);
    w->c.timeout = w->limits.sending > 0 ? w->limits.sending : -1;
    return l_conn_run(L, t, &w->c, &ws_send, push_sent);
}

static int send_whole(lua_State *L, enum ws_opcode opcode)
{
    struct ws_socket *w = self(L);
    if (w->open_message)
        return luaL_error(L, "a message is being sent in pieces: finish it first");
    return send_frame(L, w, opcode, true);
}

/* send(text) -> true | nil, err, errno */
static int l_send(lua_State *L) { return send_whole(L, WS_TEXT); }
static int l_send_binary(lua_State *L) { return send_whole(L, WS_BINARY); }

/* send_some(data, binary, last) -> true | nil, err, errno: a fragment; the first says what the message is */
static int l_send_some(lua_State *L)
{
    struct ws_socket *w = self(L);
    bool binary = lua_toboolean(L, 3), last = lua_toboolean(L, 4);
    return send_frame(L, w, w->open_message ? WS_CONTINUATION : binary ? WS_BINARY : WS_TEXT, last);
}

static int push_pinged(lua_State *L, struct task *t)
{
    const struct ws_socket *w = ws_socket_of(t->wait.object);
    return face_result(L, t->wait.result < 0 && w->ending ? w->ending : t->wait.result);
}

/* ping([data]) -> true | nil, err, errno: it leaves as soon as it may */
static int l_ping(lua_State *L)
{
    struct ws_socket *w = self(L);
    size_t n = 0;
    const char *data = luaL_optlstring(L, 2, "", &n);
    luaL_argcheck(L, n <= WS_CONTROL_MAX, 2, "at most 125 bytes expected");
    if (w->c.closed || !ws_socket_is_full(w))
        return face_result(L, ws_socket_control(w, WS_PING, data, n));
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct ws_pinging) = (struct ws_pinging){.bytes = data, .n = n};
    w->c.timeout = w->limits.sending > 0 ? w->limits.sending : -1;
    return l_conn_run(L, t, &w->c, &ws_ping, push_pinged);
}

/* ---- the end ---- */

static bool is_clean(const struct ws_socket *w)
{
    return w->got != 0 && w->got != WS_CUT && (w->ending == ERR_EOF || w->ending == ERR_CLOSED);
}

/* Whoever has read the peer's close frame has closed the connection, and all that wait for it have failed. */
static int push_closed(lua_State *L, struct task *t)
{
    struct ws_socket *w = ws_socket_of(t->wait.object);
    int r = ws_receive_failed(t);
    if (!w->c.closed)
        ws_socket_cut(w, r);
    return face_result(L, is_clean(w) ? 0 : r);
}

/* close(code, reason | nil) -> true | nil, err, errno: says so, and waits until the peer has said so, too */
static int l_close(lua_State *L)
{
    struct ws_socket *w = self(L);
    size_t n = 0;
    unsigned code = (unsigned)luaL_optinteger(L, 2, 1000);
    const char *reason = luaL_optlstring(L, 3, "", &n);
    luaL_argcheck(L, ws_frame_is_code(code), 2, "a code that may be sent expected: 1000, 1001, 3000 to 4999, ...");
    luaL_argcheck(L, n <= WS_REASON_MAX, 3, "at most 123 bytes expected");
    if (n > 0) {
        struct ws_utf8 u = {0};
        luaL_argcheck(L, ws_utf8_take(&u, reason, n) && ws_utf8_is_whole(&u), 3, "text is not valid UTF-8");
    }
    if (w->c.closed)
        return face_result(L, is_clean(w) ? 0 : w->ending ? w->ending : ERR_CLOSED);
    struct task *t = face_task(L, face_ctx(L));
    int r = w->ending ? 0 : ws_socket_close(w, code, reason, n);
    if (r < 0) {
        ws_socket_cut(w, r);
        return face_error(L, r);
    }
    *OPERATION(t, struct ws_receiving) = (struct ws_receiving){0};
    w->c.timeout = w->limits.closing > 0 ? w->limits.closing : -1;
    return l_conn_run(L, t, &w->c, &ws_receive_end, push_closed);
}

/* say_close(code): the close frame leaves as soon as it may; whoever receives sees to the rest */
static int l_say_close(lua_State *L)
{
    return face_result(L, ws_socket_close(self(L), (unsigned)luaL_checkinteger(L, 2), NULL, 0));
}

/* cut(): closes the connection at once */
static int l_cut(lua_State *L)
{
    ws_socket_cut(self(L), ERR_CLOSED);
    return 0;
}

/* status() -> nil while it is open | code, reason: the peer's; 1006: none; or ours, if we refused what it sent */
static int l_status(lua_State *L)
{
    const struct ws_socket *w = self(L);
    if (!w->ending && !w->c.closed)
        return 0;
    lua_pushinteger(L, w->got ? w->got : w->sent ? w->sent : WS_CUT);
    lua_pushlstring(L, w->reason ? w->reason : "", w->reason_length);
    return 2;
}

/* is_open() -> may a message be sent? */
static int l_is_open(lua_State *L)
{
    const struct ws_socket *w = self(L);
    lua_pushboolean(L, !w->ending && !w->c.closed && !w->sent && !w->mute);
    return 1;
}

/* address(peer) -> an end's address | nil, err, errno */
static int l_address(lua_State *L)
{
    const struct ws_socket *w = self(L);
    char text[ADDR_TEXT_MAX];
    struct addr a;
    if (w->c.closed)
        return face_error(L, ERR_CLOSED);
    int r = stream_address(&w->c.stream, lua_toboolean(L, 2) ? STREAM_PEER : STREAM_LOCAL, &a);
    if (r == -ENOTSOCK) {
        lua_pushstring(L, w->c.stream.ops->name);
        return 1;
    }
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, text, addr_format(&a, text));
    return 1;
}

static int l_tostring(lua_State *L)
{
    char text[3 * ADDR_TEXT_MAX];
    conn_describe(&self(L)->c, text, sizeof text);
    lua_pushfstring(L, "websocket %s", text);
    return 1;
}

static int l_gc(lua_State *L)
{
    struct socket_face *f = face_test(L, 1, &socket_mark, sizeof *f);
    if (f)
        ws_socket_fini(&f->w);
    return 0;
}

/* ---- opening ---- */

static int64_t ns_at(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    int64_t ns = face_timeout(L, -1);
    lua_pop(L, 1);
    return ns > 0 ? ns : 0;
}

static uint64_t count_at(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    lua_Number n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n >= 9e15 ? (uint64_t)9e15 : (uint64_t)n;
}

static void read_limits(lua_State *L, int table, struct ws_limits *most)
{
    *most = (struct ws_limits){
        .message = count_at(L, table, "max_message"),
        .frame = count_at(L, table, "max_frame"),
        .controls = (uint32_t)base_min(count_at(L, table, "max_controls"), UINT32_MAX),
        .ping = ns_at(L, table, "ping_interval"),
        .pong = ns_at(L, table, "ping_timeout"),
        .sending = ns_at(L, table, "send_timeout"),
        .closing = ns_at(L, table, "close_timeout"),
    };
}

/* A new compression for the table at idx; NULL: there is none. */
static struct ws_pack *new_pack(lua_State *L, int idx)
{
    if (!lua_istable(L, idx))
        return NULL;
    lua_getfield(L, idx, "out_fresh");
    lua_getfield(L, idx, "in_fresh");
    struct ws_packing agreed = {
        .out_bits = (uint8_t)count_at(L, idx, "out_bits"), .in_bits = (uint8_t)count_at(L, idx, "in_bits"),
        .out_fresh = lua_toboolean(L, -2), .in_fresh = lua_toboolean(L, -1),
        .level = (uint8_t)count_at(L, idx, "level"), .memory = (uint8_t)count_at(L, idx, "memory"),
        .least = (uint32_t)base_min(count_at(L, idx, "threshold"), UINT32_MAX),
    };
    lua_pop(L, 2);
    struct ws_pack *p = ws_pack_new(&agreed);
    if (!p)
        luaL_error(L, "not enough memory");
    return p;
}

/* websocket(connection, limits, is the server's end, bytes to be sent first | nil, compression | nil)
 * -> WebSocket, to which the connection belongs | nil, err, errno */
static int l_websocket(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct conn *c = l_conn_self(L);
    struct ws_limits most;
    size_t n = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *first = luaL_optlstring(L, 4, "", &n);
    read_limits(L, 2, &most);
    struct socket_face *f = face_new(L, FACE_META_WEBSOCKET, sizeof *f);
    ws_socket_init(&f->w, &cx->loop);
    f->mark = &socket_mark;
    f->w.pack = new_pack(L, 5);
    int r = buf_append(&f->w.out, first, n);
    r = r < 0 ? r : ws_socket_open(&f->w, c, &most, lua_toboolean(L, 3) ? NULL : &cx->ws_keys);
    if (r < 0)
        return face_error(L, r);
    ws_idle_watch(&f->w);
    l_conn_made_here(L, cx, &f->w.c);
    return 1;
}

/* websocket_accept(key) -> the value of Sec-WebSocket-Accept */
static int l_accept(lua_State *L)
{
    char text[WS_ACCEPT];
    size_t n;
    const char *key = luaL_checklstring(L, 1, &n);
    ws_frame_accept(text, key, n);
    lua_pushlstring(L, text, WS_ACCEPT - 1);
    return 1;
}

/* random_bytes(n) -> n bytes, at most 256, that nobody can foresee */
static int l_random_bytes(lua_State *L)
{
    char bytes[256];
    size_t n = face_size(L, 1, 0, 16);
    luaL_argcheck(L, n <= sizeof bytes, 1, "at most 256 expected");
    int r = sys_random(bytes, n);
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, bytes, n);
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},
    {"__tostring", l_tostring},
    {"address", l_address},
    {"close", l_close},
    {"cut", l_cut},
    {"is_open", l_is_open},
    {"ping", l_ping},
    {"receive", l_receive},
    {"receive_some", l_receive_some},
    {"say_close", l_say_close},
    {"send", l_send},
    {"send_binary", l_send_binary},
    {"send_some", l_send_some},
    {"status", l_status},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"random_bytes", l_random_bytes},
    {"websocket", l_websocket},
    {"websocket_accept", l_accept},
    {NULL, NULL},
};

void l_ws_open(lua_State *L)
{
    face_class(L, FACE_META_WEBSOCKET, "moonpark.websocket", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_WEBSOCKET);
    lua_setfield(L, -2, "websocket_class");
    face_functions(L, functions);
}
