/* SPDX-License-Identifier: MIT */
/* l_share.c - the Lua face of listeners that several workers share: the supervisor's side and the workers'.
 *
 * docs/decisions/even-load.md has its functions in a table. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "lua/l_fd.h"

#include <errno.h>
#include <limits.h>

/* The number of a descriptor, object or number, at idx; negative: it is closed. Raises for anything else. */
static int descriptor(lua_State *L, int idx, int argument)
{
    const int *owned = l_fd_test(L, idx);
    lua_Number n = owned || lua_type(L, idx) != LUA_TNUMBER ? -1 : lua_tonumber(L, idx);
    luaL_argcheck(L, owned || (n >= 0 && n <= INT_MAX), argument, "descriptor expected");
    return owned ? *owned : (int)n;
}

/* The descriptors of the table at 2. Returns how many, or -EBADF if one is closed. */
static int read_wakes(lua_State *L, int wakes[static BOARD_SLOTS])
{
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = lua_objlen(L, 2);
    luaL_argcheck(L, count >= 1 && count <= BOARD_SLOTS, 2, "1 to 252 descriptors expected");
    for (int i = 0; i < (int)count; i++) {
        lua_rawgeti(L, 2, i + 1);
        wakes[i] = descriptor(L, -1, 2);
        lua_pop(L, 1);
        if (wakes[i] < 0)
            return -EBADF;
    }
    return (int)count;
}

static uint32_t slot_at(lua_State *L, int idx)
{
    lua_Number n = face_number(L, idx);
    luaL_argcheck(L, n >= 1 && n <= BOARD_SLOTS, idx, "no slot");
    return (uint32_t)n - 1;
}

/* The object at `place`, which was made first, keeps the descriptor. Returns it, or the failure. */
static int keep(int *place, int fd)
{
    *place = fd < 0 ? -1 : fd;
    return fd;
}

/* share_make(slots) -> segment, {wakes} | nil, err, errno */
static int l_make(lua_State *L)
{
    uint32_t slots = slot_at(L, 1) + 1;
    int *place = l_fd_new(L), r = keep(place, board_make(slots));
    lua_createtable(L, (int)slots, 0);
    for (uint32_t i = 1; i <= slots && r >= 0; i++) {
        place = l_fd_new(L);
        r = keep(place, sys_eventfd());
        lua_rawseti(L, -2, (int)i);
    }
    return r < 0 ? face_error(L, r) : 2;
}

/* The objects have given theirs away. */
static void release(lua_State *L, int count)
{
    int *owned = l_fd_test(L, 1);
    if (owned)
        *owned = -1;
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, i);
        owned = l_fd_test(L, -1);
        if (owned)
            *owned = -1;
        lua_pop(L, 1);
    }
}

/* share_join(segment, {wakes}, slot) -> true | nil, err, errno */
static int l_join(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    int wakes[BOARD_SLOTS], segment = descriptor(L, 1, 1), count = read_wakes(L, wakes);
    uint32_t slot = slot_at(L, 3);
    int r = segment < 0 ? -EBADF : count;
    if (r >= 0)
        r = share_join(&cx->loop, segment, wakes, (uint32_t)count, slot);
    if (r == 0)
        release(L, count);
    return face_result(L, r);
}

/* share_listener(listener) -> true | nil, err, errno */
static int l_listener(lua_State *L)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c && c->kind == CONN_LISTENER, 1, "listener expected");
    return face_result(L, conn_share(c));
}

/* share_leave() -> true | nil, err, errno; harmless twice */
static int l_leave(lua_State *L) { return face_result(L, conn_leave_share(&face_loop(L)->loop)); }

/* share_open() -> how many of the connections that this worker has accepted there are open */
static int l_open(lua_State *L)
{
    struct share *s = face_loop(L)->loop.share;
    lua_pushnumber(L, s ? share_count(s) : 0);
    return 1;
}

static void set_count(lua_State *L, const char *name, uint32_t n)
{
    lua_pushnumber(L, n);
    lua_setfield(L, -2, name);
}

static void push_slot(lua_State *L, const struct board_slot *s)
{
    static const char *const states[] = {"absent", "accepting", "holding", "away"};
    lua_createtable(L, 0, 6);
    lua_pushstring(L, states[s->state % ARRAY_LEN(states)]);
    lua_setfield(L, -2, "state");
    set_count(L, "pid", s->pid);
    set_count(L, "open", s->open);
    set_count(L, "accepted", s->accepted);
    set_count(L, "woken", s->woken);
    set_count(L, "stuck", s->stuck);
}

/* share_read(segment) -> {{state, pid, open, accepted, woken, stuck}, ...} | nil, err, errno */
static int l_read(lua_State *L)
{
    struct board_slot slots[BOARD_SLOTS]; /* copied, so that nothing stays mapped if a push raises */
    int segment = descriptor(L, 1, 1);
    int count = segment < 0 ? -EBADF : board_read(segment, slots);
    if (count < 0)
        return face_error(L, count);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        push_slot(L, &slots[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* share_clear(segment, {wakes}, slot) -> true | nil, err, errno */
static int l_clear(lua_State *L)
{
    struct board *b;
    int wakes[BOARD_SLOTS], segment = descriptor(L, 1, 1), count = read_wakes(L, wakes);
    uint32_t slot = slot_at(L, 3);
    int r = segment < 0 ? -EBADF : count;
    if (r >= 0)
        r = board_map(segment, &b);
    if (r < 0)
        return face_error(L, r);
    bool fits = (uint32_t)count == b->slots && slot < b->slots;
    if (fits)
        share_clear(b, wakes, slot);
    board_unmap(b);
    return face_result(L, fits ? 0 : -EINVAL);
}

static const luaL_Reg functions[] = {
    {"share_clear", l_clear}, {"share_join", l_join}, {"share_leave", l_leave}, {"share_listener", l_listener},
    {"share_make", l_make},   {"share_open", l_open},   {"share_read", l_read}, {NULL, NULL},
};

void l_share_open(lua_State *L) { face_functions(L, functions); }
