/* SPDX-License-Identifier: MIT */
/* l_unix.c - the Lua face of passing, adopting, inheriting and giving away descriptors, and of the peer's credentials.
 * Adds methods to the class of connections.
 *
 * The objects that hold descriptors are made before the descriptors arrive, and filled by code that cannot fail. */
#define _GNU_SOURCE
#include "lua/faces.h"

#include "base/errors.h"
#include "base/hard.h"
#include "lua/l_conn.h"
#include "lua/l_fd.h"
#include "lua/l_packet.h"
#include "net/adopt.h"
#include "net/conn_fds.h"
#include "net/socket.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct conn *connection(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    if (!c || c->kind != CONN_STREAM) {
        const char *got = c ? "a listener or packet socket" : luaL_typename(L, 1);
        luaL_argerror(L, 1, lua_pushfstring(L, "connection expected, got %s", got));
    }
    return c;
}

/* ---- credentials ---- */

/* 0, ERR_CLOSED or ERR_NOT_UNIX */
static int check_unix(const struct conn *c)
{
    return c->closed ? ERR_CLOSED : socket_is_unix(c->stream.ops) ? 0 : ERR_NOT_UNIX;
}

/* peer_credentials() -> {pid, uid, gid} | nil, err, errno */
static int l_peer_credentials(lua_State *L)
{
    struct conn *c = connection(L);
    struct ucred peer;
    socklen_t len = sizeof peer;
    int r = check_unix(c);
    if (r == 0)
        r = sys_getsockopt(c->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    if (r < 0)
        return face_error(L, r);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, peer.pid);
    lua_setfield(L, -2, "pid");
    lua_pushnumber(L, peer.uid);
    lua_setfield(L, -2, "uid");
    lua_pushnumber(L, peer.gid);
    lua_setfield(L, -2, "gid");
    return 1;
}

/* ---- passing descriptors ---- */

static const char fds_mark = 0;

static int fds_gc(lua_State *L)
{
    struct conn_fds *f = face_test(L, 1, &fds_mark, sizeof *f);
    if (f)
        conn_fds_drop(f);
    return 0;
}

static struct conn_fds *new_fds(lua_State *L)
{
    struct conn_fds *f = face_new(L, FACE_META_FDS, sizeof *f);
    f->mark = &fds_mark;
    return f;
}

/* The descriptor number of the value at idx, negative if it is closed. Raises for values that are no descriptor. */
static int number_of(lua_State *L, int idx, int item)
{
    struct conn *c = l_conn_test(L, idx);
    int *owned = l_fd_test(L, idx);
    if (c || owned)
        return c ? c->stream.fd : *owned;
    bool number = lua_type(L, idx) == LUA_TNUMBER;
    lua_Number n = number ? lua_tonumber(L, idx) : -1;
    if (!(n >= 0 && n <= INT_MAX && n == (int)n)) {
        const char *got = number ? "an invalid number" : luaL_typename(L, idx);
        luaL_argerror(L, 3, lua_pushfstring(L, "number, descriptor or connection expected as descriptor %d, got %s",
                                            item, got));
    }
    return (int)n;
}

/* Reads the items of the table at 3. Returns 0, or -EBADF if one is closed or in memory only. */
static int gather_fds(lua_State *L, struct conn_fds *f)
{
    size_t count = lua_objlen(L, 3);
    luaL_argcheck(L, count >= 1 && count <= SYS_FDS_MAX, 3, "1 to 253 descriptors expected");
    for (int i = 1; i <= (int)count; i++) {
        lua_rawgeti(L, 3, i);
        int fd = number_of(L, -1, i);
        lua_pop(L, 1);
        if (fd < 0)
            return -EBADF;
        f->fd[i - 1] = fd;
    }
    f->count = (int)count;
    return 0;
}

/* send_fds(data, {descriptor, ...}) -> bytes | nil, err, errno, bytes written */
static int l_send_fds(lua_State *L)
{
    struct conn *c = connection(L);
    struct task *t = face_task(L, face_ctx(L));
    const char *bytes = luaL_checklstring(L, 2, &t->op.length);
    luaL_argcheck(L, t->op.length > 0, 2, "at least one byte expected");
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    struct conn_fds *f = new_fds(L);
    int r = gather_fds(L, f);
    if (r == 0)
        r = check_unix(c);
    if (r == 0 && c->side[POLL_W].holder)
        r = conn_fds_keep(f); /* it will wait in the queue */
    *OPERATION(t, struct conn_passing) = (struct conn_passing){.fds = f, .bytes = bytes};
    t->op.total = 0;
    return r < 0 ? l_conn_fail(L, t, c, r, l_conn_push_written)
                 : l_conn_run(L, t, c, &conn_send_fds, l_conn_push_written);
}

/* Pushing the bytes is the last step that can fail: afterwards the descriptors change their owner. */
static int push_received(lua_State *L, struct task *t)
{
    struct conn *c = t->wait.object;
    struct conn_fds *f = OPERATION(t, struct conn_passing)->fds;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    c->pinned = true; /* a finalizer may close c before the bytes are taken */
    lua_createtable(L, f->count, 0);
    for (int i = 1; i <= f->count; i++) {
        (void)l_fd_new(L);
        lua_rawseti(L, -2, i);
    }
    (void)l_conn_push_held(L, t);
    lua_insert(L, -2);
    for (int i = 1; i <= f->count; i++) {
        lua_rawgeti(L, -1, i);
        *l_fd_test(L, -1) = f->fd[i - 1];
        lua_pop(L, 1);
    }
    f->count = 0;
    return 2;
}

/* recv_fds([max]) -> 1..max bytes, {descriptor, ...} | nil, err, errno */
static int l_recv_fds(lua_State *L)
{
    struct conn *c = connection(L);
    struct task *t = face_task(L, face_ctx(L));
    size_t limit = face_size(L, 2, 1, limits.scratch);
    lua_settop(L, 1);
    *OPERATION(t, struct conn_passing) = (struct conn_passing){.reading.limit = limit, .fds = new_fds(L)};
    int r = check_unix(c);
    return r < 0 ? l_conn_fail(L, t, c, r, push_received) : l_conn_run(L, t, c, &conn_recv_fds, push_received);
}

/* ---- adopting, and giving away ---- */

static const char *const kinds[] = {[CONN_STREAM] = "connection", [CONN_LISTENER] = "listener",
                                    [CONN_PACKET] = "packet", NULL};

/* from_fd(number or descriptor[, kind]) -> connection, listener or packet socket | nil, err, errno */
static int l_from_fd(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct adopted a;
    int *owned = l_fd_test(L, 1);
    int wanted = lua_isnoneornil(L, 2) ? -1 : luaL_checkoption(L, 2, NULL, kinds);
    if (!owned)
        face_number(L, 1);
    int fd = owned ? *owned : (int)base_min(face_size(L, 1, 0, 0), INT_MAX); /* never a valid descriptor */
    if (fd < 0)
        return face_error(L, ERR_CLOSED);
    int r = adopt_look(&cx->loop, fd, &a);
    if (r == 0 && wanted >= 0 && (int)a.kind != wanted)
        r = ERR_WRONG_KIND;
    if (r < 0)
        return face_error(L, r);
    struct conn *c = a.kind == CONN_PACKET ? l_packet_new(L, cx) : l_conn_new(L, cx);
    r = c ? adopt_take(&cx->loop, fd, &a) : -ENOMEM;
    if (r < 0)
        return face_error(L, r);
    conn_open(c, &a.stream);
    c->kind = (uint8_t)a.kind;
    if (owned)
        *owned = -1;
    return 1;
}

/* detach() -> descriptor[, bytes that were received and not read] | nil, err, errno */
static int l_detach(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c, 1, "connection, listener or packet socket expected");
    lua_settop(L, 1);
    int *owned = l_fd_new(L);
    bool unread = buf_len(&c->in) > 0;
    if (unread)
        lua_pushlstring(L, buf_at(&c->in), buf_len(&c->in));
    int fd = conn_detach(c);
    if (fd < 0)
        return face_error(L, fd);
    *owned = fd;
    return unread ? 2 : 1; /* only one value, so that from_fd(c:detach()) works */
}

/* ---- inherited ---- */

/* activation() -> our process's id, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, which are then unset */
static int l_activation(lua_State *L)
{
    static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    lua_pushinteger(L, getpid());
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        lua_pushstring(L, getenv(names[i]));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unsetenv(names[i]);
    return 1 + (int)ARRAY_LEN(names);
}

/* keep_fd(number) -> its kind | nil, err, errno: makes it close-on-exec, then checks it */
static int l_keep_fd(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct adopted a;
    int fd = luaL_checkint(L, 1);
    int r = sys_set_cloexec(fd);
    if (r == 0)
        r = adopt_look(&cx->loop, fd, &a);
    if (r < 0)
        return face_error(L, r);
    lua_pushstring(L, kinds[a.kind]);
    return 1;
}

static const luaL_Reg methods[] = {
    {"peer_credentials", l_peer_credentials},
    {"recv_fds", l_recv_fds},
    {"send_fds", l_send_fds},
    {NULL, NULL},
};

static const luaL_Reg common_methods[] = {{"detach", l_detach}, {NULL, NULL}};
static const luaL_Reg fds_methods[] = {{"__gc", fds_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"activation", l_activation}, {"from_fd", l_from_fd}, {"keep_fd", l_keep_fd}, {NULL, NULL},
};

void l_unix_open(lua_State *L)
{
    face_class(L, FACE_META_FDS, "moonpark.descriptors", fds_methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, methods);
    face_functions(L, common_methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_PACKET);
    face_functions(L, common_methods);
    lua_pop(L, 2);
    face_functions(L, functions);
}
