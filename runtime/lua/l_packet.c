/* SPDX-License-Identifier: MIT */
/* l_packet.c - check, call, push. The text of an address is read once to check it, and again when it is used.
 * That costs nothing, because the last one is remembered, and no address must be kept while a task is parked. */
#include "lua/l_packet.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "net/conn_packet.h"
#include "net/conn_time.h"
#include "net/dgram.h"
#include "net/unix_listen.h"

#include <errno.h>
#include <string.h>

enum { SEND_MOST = 1024 }; /* datagrams of one send_many: their strings are on the stack */

/* ---- results ---- */

static void push_sender(lua_State *L, struct dgrams *ds, const struct dgram *d)
{
    size_t n;
    const char *text = dgram_text(ds, &d->from, &n);
    lua_pushlstring(L, text, n);
}

static int push_one(lua_State *L, struct dgrams *ds, struct task *t)
{
    const struct operation *op = &t->op;
    int results = 1;
    lua_pushlstring(L, ds->bytes, op->length);
    if (OPERATION(t, struct conn_receiving)->with_sender) {
        push_sender(L, ds, &ds->got[0]);
        results++;
    }
    if (op->total > op->length) {
        lua_pushnumber(L, (lua_Number)op->total);
        results++;
    }
    return results;
}

/* Data, senders, and the full lengths of those that were cut, or nil. */
static int push_many(lua_State *L, struct dgrams *ds, struct task *t)
{
    size_t limit = OPERATION(t, struct conn_receiving)->limit;
    int count = (int)t->op.length, top = lua_gettop(L);
    lua_createtable(L, count, 0);
    lua_createtable(L, count, 0);
    lua_pushnil(L);
    for (int i = 0; i < count; i++) {
        const struct dgram *d = &ds->got[i];
        lua_pushlstring(L, d->at, base_min(d->length, limit));
        lua_rawseti(L, top + 1, i + 1);
        push_sender(L, ds, d);
        lua_rawseti(L, top + 2, i + 1);
        if (d->length <= limit)
            continue;
        if (lua_isnil(L, top + 3)) {
            lua_newtable(L);
            lua_replace(L, top + 3);
        }
        lua_pushnumber(L, (lua_Number)d->length);
        lua_rawseti(L, top + 3, i + 1);
    }
    return 3;
}

static int push_received(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    return t->wait.result < 0 ? face_error(L, t->wait.result) : push_one(L, c->loop->datagrams, t);
}

static int push_received_many(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    return t->wait.result < 0 ? face_error(L, t->wait.result) : push_many(L, c->loop->datagrams, t);
}

static int push_sent(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushnumber(L, (lua_Number)t->op.length);
    return 1;
}

/* After the socket come the datagrams, then the address, or nil, of each. */
static const char *datagram(struct task *t, size_t index, size_t *n, const char **address, size_t *length)
{
    const struct operation *op = &t->op;
    *address = lua_tolstring(op->stack, op->base + (int)(op->length + index), length);
    return lua_tolstring(op->stack, op->base + (int)index, n);
}

/* ---- receiving ---- */

static int receive(lua_State *L, bool with_sender)
{
    struct conn *c = l_conn_packet(L);
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct conn_receiving) = (struct conn_receiving){
        .limit = base_min(face_size(L, 2, 1, DGRAM_MAX), DGRAM_BYTES), .with_sender = with_sender};
    return l_conn_run(L, t, c, &conn_recv_from, push_received);
}

/* recv_from([max]) -> data, address[, whole length] | nil, err, errno */
static int l_recv_from(lua_State *L) { return receive(L, true); }

/* recv([max]) -> data[, whole length] | nil, err, errno */
static int l_recv(lua_State *L) { return receive(L, false); }

/* recv_many(count[, max]) -> {data}, {address}[, {[i] = whole length}] | nil, err, errno */
static int l_recv_many(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct task *t = face_task(L, face_ctx(L));
    (void)face_number(L, 2);
    *OPERATION(t, struct conn_receiving) = (struct conn_receiving){
        .limit = base_min(face_size(L, 3, 1, DGRAM_MAX), DGRAM_BYTES), .count = face_size(L, 2, 1, 1)};
    return l_conn_run(L, t, c, &conn_recv_many, push_received_many);
}

/* ---- sending ---- */

/* Starts a send with the data and address at 2 and 3. */
static int send_to(lua_State *L, struct conn *c, struct task *t)
{
    struct conn_sending *s = OPERATION(t, struct conn_sending);
    *s = (struct conn_sending){.bytes = lua_tolstring(L, 2, &t->op.length)};
    s->address = lua_tolstring(L, 3, &s->address_length);
    return l_conn_run(L, t, c, &conn_send_to, push_sent);
}

static void check_address(lua_State *L, int idx, struct conn *c, const char *text, size_t n)
{
    struct addr a;
    const char *wrong = dgram_parse(&c->stream, c->loop->datagrams, &a, text, n);
    if (wrong)
        luaL_argerror(L, idx, lua_pushfstring(L, "%s: '%s'", wrong, text));
}

/* send_to(data, address) -> bytes | nil, err, errno */
static int l_send_to(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct task *t = face_task(L, face_ctx(L));
    size_t n;
    luaL_checkstring(L, 2);
    const char *text = luaL_checklstring(L, 3, &n);
    if (!c->closed)
        check_address(L, 3, c, text, n);
    lua_settop(L, 3);
    return send_to(L, c, t);
}

/* Pushes false, and the host and port if the address has a name that this socket can send to. */
static int not_numeric(lua_State *L, const struct conn *c)
{
    size_t n;
    struct addr_parts p;
    lua_pushboolean(L, 0);
    if (!c)
        return 1;
    const char *text = lua_tolstring(L, 3, &n);
    if (addr_split(&p, text, n) || !p.name || dgram_is_unix(&c->stream))
        return 1;
    lua_pushlstring(L, p.host, p.length);
    lua_pushinteger(L, p.port);
    return 3;
}

/* try_send_to(data, address): the same, but returns false where send_to would raise: the address may have a name, and
 * other errors must be raised at our caller's caller. */
static int l_try_send_to(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct conn *c = l_conn_test(L, 1);
    struct addr a;
    size_t n;
    if (!c || c->kind != CONN_PACKET || !face_running(cx) || !lua_isstring(L, 2) || !lua_isstring(L, 3))
        return not_numeric(L, NULL);
    const char *text = lua_tolstring(L, 3, &n);
    if (!c->closed && dgram_parse(&c->stream, c->loop->datagrams, &a, text, n))
        return not_numeric(L, c);
    return send_to(L, c, face_task(L, cx));
}

/* send_limit() -> when a send that began now would time out, absolute seconds | nil: never */
static int l_send_limit(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    const struct pollDesc *pd = c->stream.pd;
    int64_t now = loop_now(c->loop), limit = pd ? pd->side[POLL_W].deadline : 0;
    if (limit < 0)
        limit = now;
    int64_t timeout = conn_timeout(c, POLL_W);
    if (timeout >= 0)
        limit = conn_sooner(limit, clock_add(now, timeout));
    if (limit == 0)
        return 0;
    lua_pushnumber(L, (lua_Number)limit / 1e9);
    return 1;
}

/* send(data) -> bytes | nil, err, errno */
static int l_send(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct conn_sending) = (struct conn_sending){.bytes = luaL_checklstring(L, 2, &t->op.length)};
    return l_conn_run(L, t, c, &conn_send_to, push_sent);
}

static void check_datagram(lua_State *L, int i)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, 2, lua_pushfstring(L, "datagram %d is a %s, not a string", i, luaL_typename(L, -1)));
}

/* The address of datagram i, from argument 3, on top. */
static void push_target(lua_State *L, struct conn *c, int i)
{
    size_t n;
    if (lua_istable(L, 3))
        lua_rawgeti(L, 3, i);
    else
        lua_pushvalue(L, 3);
    if (lua_isnil(L, 3))
        return;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, 3, lua_pushfstring(L, "address %d is a %s, not a string", i, luaL_typename(L, -1)));
    const char *text = lua_tolstring(L, -1, &n);
    if (!c->closed)
        check_address(L, 3, c, text, n);
}

/* send_many({data}[, address | {address}]) -> how many | nil, err, errno, how many before */
static int l_send_many(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct task *t = face_task(L, face_ctx(L));
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    size_t count = lua_objlen(L, 2);
    luaL_argcheck(L, count <= SEND_MOST, 2, "at most 1024 datagrams expected");
    luaL_argcheck(L, lua_isnil(L, 3) || lua_istable(L, 3) || lua_type(L, 3) == LUA_TSTRING, 3,
                  "string or table expected");
    luaL_checkstack(L, 2 * (int)count + LUA_MINSTACK, "too many datagrams");
    for (int i = 1; i <= (int)count; i++) {
        lua_rawgeti(L, 2, i);
        check_datagram(L, i);
    }
    for (int i = 1; i <= (int)count; i++)
        push_target(L, c, i);
    lua_remove(L, 3);
    lua_remove(L, 2); /* the socket keeps its place, followed by what `datagram` expects */
    *OPERATION(t, struct conn_sending_many) = (struct conn_sending_many){.datagram = datagram};
    t->op.length = count;
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_send_many, l_conn_push_written);
}

/* ---- groups ---- */

static int with_group(lua_State *L, bool grouped, int (*change)(struct stream *, const struct dgram_group *))
{
    struct conn *c = l_conn_packet(L);
    struct dgram_group g;
    const char *group = grouped ? luaL_checkstring(L, 2) : NULL;
    const char *interface = grouped ? luaL_optstring(L, 3, NULL) : luaL_checkstring(L, 2);
    const char *wrong = dgram_parse_group(&g, group, interface);
    if (wrong && strcmp(wrong, "no such interface") == 0)
        return face_error(L, -ENODEV); /* interfaces come and go: not a mistake in the script */
    if (wrong)
        luaL_argerror(L, 2, lua_pushfstring(L, "%s: '%s'", wrong, group));
    if (c->closed)
        return face_error(L, ERR_CLOSED);
    return face_result(L, change(&c->stream, &g));
}

/* join_group(group[, interface]) -> true | nil, err, errno */
static int l_join_group(lua_State *L) { return with_group(L, true, dgram_join); }
static int l_leave_group(lua_State *L) { return with_group(L, true, dgram_leave); }

/* set_multicast_interface(interface) -> true | nil, err, errno */
static int l_set_multicast_interface(lua_State *L) { return with_group(L, false, dgram_set_interface); }

static const luaL_Reg methods[] = {
    {"join_group", l_join_group},
    {"leave_group", l_leave_group},
    {"recv", l_recv},
    {"recv_from", l_recv_from},
    {"recv_many", l_recv_many},
    {"send", l_send},
    {"send_limit", l_send_limit},
    {"send_many", l_send_many},
    {"send_to", l_send_to},
    {"set_multicast_interface", l_set_multicast_interface},
    {"try_send_to", l_try_send_to},
    {NULL, NULL},
};

/* ---- making ---- */

static void parse(lua_State *L, int idx, struct addr *a)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n);
    const char *wrong = addr_parse(a, text, n);
    if (!wrong && !a->dgram)
        wrong = "not a datagram address";
    if (wrong)
        luaL_argerror(L, idx, lua_pushfstring(L, "%s: '%s'", wrong, text));
}

struct conn *l_packet_new(lua_State *L, struct ctx *cx)
{
    struct conn *c = l_conn_new_of(L, cx, FACE_META_PACKET);
    if (!cx->loop.datagrams)
        cx->loop.datagrams = sys_alloc(sizeof *cx->loop.datagrams);
    return cx->loop.datagrams ? c : NULL;
}

static int open_packet(struct conn *c, struct addr *local, struct addr *peer, const struct dgram_options *o)
{
    struct stream s = {.fd = -1};
    int r = dgram_open(&s, local, peer, o);
    if (r < 0)
        return r;
    conn_open(c, &s);
    c->kind = CONN_PACKET;
    return 0;
}

/* After bind: sets the path's permissions; c will remove it. Returns 0, or why not, with c closed and the path gone. */
static int keep_path(struct conn *c, struct unix_path *path, int mode, bool unlink)
{
    int r = path ? unix_path_bound(path, mode) : 0;
    if (unlink || (r < 0 && mode >= 0))
        c->path = path; /* if it cannot be identified, it is removed by its name */
    else
        unix_path_forget(path);
    if (r == 0 || mode < 0)
        return 0;
    conn_close(c);
    return r;
}

/* packet(address or nil, peer or nil, reuseaddr, reuseport, v6only, broadcast, unlink, mode) -> packet socket | nil,
 * err, errno */
static int l_packet(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr local, peer;
    bool bound = !lua_isnil(L, 1), connected = !lua_isnoneornil(L, 2);
    if (bound)
        parse(L, 1, &local);
    if (connected)
        parse(L, 2, &peer);
    if (connected && peer.wildcard)
        addr_loopback4(&peer);
    bool named = bound && addr_path(&local), unlink = lua_toboolean(L, 7);
    struct dgram_options options = {
        .reuseaddr = lua_toboolean(L, 3),
        .reuseport = lua_toboolean(L, 4),
        .v6only = lua_toboolean(L, 5),
        .broadcast = lua_toboolean(L, 6),
        .mode = luaL_optint(L, 8, -1),
    };
    struct conn *c = l_packet_new(L, cx);
    struct unix_path *path = c && named ? unix_path_new(&local) : NULL;
    int r = !c || (named && !path) ? -ENOMEM : 0;
    if (r == 0)
        r = open_packet(c, bound ? &local : NULL, connected ? &peer : NULL, &options);
    if (r < 0)
        unix_path_forget(path);
    else
        r = keep_path(c, path, options.mode, unlink);
    return r < 0 ? face_error(L, r) : 1;
}

/* packet_new("inet4" | "inet6" | "unix") -> packet socket without an address | nil, err, errno */
static int l_packet_fresh(lua_State *L)
{
    static const char *const names[] = {"inet4", "inet6", "unix", NULL};
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    struct ctx *cx = face_loop(L);
    int family = families[luaL_checkoption(L, 1, NULL, names)];
    struct conn *c = l_packet_new(L, cx);
    struct stream s = {.fd = -1};
    int r = c ? dgram_new(&s, family) : -ENOMEM;
    if (r < 0)
        return face_error(L, r);
    conn_open(c, &s);
    c->kind = CONN_PACKET;
    return 1;
}

/* packet_bind(packet socket, address) -> true | nil, err, errno */
static int l_packet_bind(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct addr a;
    parse(L, 2, &a);
    return face_result(L, c->closed ? ERR_CLOSED : sys_bind(c->stream.fd, &a.any, a.len));
}

/* packet_connect(packet socket, address | nil: to nobody any more) -> true | nil, err, errno */
static int l_packet_connect(lua_State *L)
{
    struct conn *c = l_conn_packet(L);
    struct addr a = {.any.sa_family = AF_UNSPEC, .len = sizeof a.in};
    if (!lua_isnoneornil(L, 2))
        parse(L, 2, &a);
    return face_result(L, c->closed ? ERR_CLOSED : sys_connect(c->stream.fd, &a.any, a.len));
}

static const luaL_Reg functions[] = {{"packet", l_packet}, {"packet_bind", l_packet_bind},
                                     {"packet_connect", l_packet_connect}, {"packet_new", l_packet_fresh},
                                     {NULL, NULL}};

void l_packet_open(lua_State *L)
{
    face_class(L, FACE_META_PACKET, "moonpark.net.packet", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_PACKET);
    face_functions(L, l_conn_common);
    lua_setfield(L, -2, "packet_class");
    face_functions(L, functions);
}
