/* SPDX-License-Identifier: MIT */
/* l_conn_write.c - the arguments of a write stay on the caller's stack, which is where the step finds them. A table of
 * pieces becomes one string first. */
#include "lua/faces.h"

#include "base/decimal.h"
#include "base/hard.h"
#include "lua/l_conn.h"
#include "net/conn_write.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- tables of pieces ---- */

enum { NESTED = 32 }; /* tables in tables: a table that holds itself is nested for ever */

/* Pieces on their way into one string. */
struct joining {
    char *to;
    size_t room, length; /* length counts what found no room, too */
    bool fits;           /* all that was added is in `to` */
    bool collects;       /* a string was made: finalizers may have run, and used the scratch */
};

/* Why a table cannot be written; what is at fault then lies on top of the stack. */
enum flaw {
    FLAW_NONE,
    FLAW_VALUE, /* a value that is no string, number or table */
    FLAW_KEY,   /* a key that is no place in a list */
    FLAW_DEPTH,
};

static enum flaw add_table(lua_State *L, struct joining *j, int table, int depth);

static void add_piece(lua_State *L, struct joining *j, int type)
{
    char text[DECIMAL_MAX];
    const char *piece = text;
    bool decimal = type == LUA_TNUMBER && isfinite(lua_tonumber(L, -1));
    size_t n = decimal ? decimal_write(text, lua_tonumber(L, -1)) : 0;
    if (!decimal) {
        j->collects |= type == LUA_TNUMBER;
        piece = lua_tolstring(L, -1, &n);
    }
    j->fits = j->fits && n <= j->room - j->length;
    if (j->fits)
        memcpy(j->to + j->length, piece, n);
    j->length += n;
}

/* The value on top of the stack. */
static enum flaw add_value(lua_State *L, struct joining *j, int depth)
{
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE)
        return depth == NESTED ? FLAW_DEPTH : add_table(L, j, lua_gettop(L), depth + 1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        return FLAW_VALUE;
    add_piece(L, j, type);
    return FLAW_NONE;
}

/* Is the key on top of the stack a place in a list? Not more of them than an int holds. */
static int place_of(lua_State *L)
{
    lua_Number key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    return key >= 1 && key <= INT_MAX && key == (int)key ? (int)key : 0;
}

/* The values behind the first n of a table that gives its keys in another order; where one is missing it is nil. */
static enum flaw add_by_place(lua_State *L, struct joining *j, int table, int n, int depth)
{
    enum flaw flaw = FLAW_NONE;
    int last = n;
    for (lua_pushnil(L); lua_next(L, table);) {
        lua_pop(L, 1);
        int place = place_of(L);
        if (!place)
            return FLAW_KEY;
        last = place > last ? place : last;
    }
    for (int i = n + 1; i <= last; i++) {
        lua_rawgeti(L, table, i);
        if ((flaw = add_value(L, j, depth)) != FLAW_NONE)
            return flaw;
        lua_pop(L, 1);
    }
    return flaw;
}

static enum flaw add_table(lua_State *L, struct joining *j, int table, int depth)
{
    luaL_checkstack(L, LUA_MINSTACK, "write: tables nested too deep");
    int n = 0;
    for (lua_pushnil(L); lua_next(L, table); n++) {
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != n + 1) {
            lua_pop(L, 2);
            return add_by_place(L, j, table, n, depth);
        }
        enum flaw flaw = add_value(L, j, depth);
        if (flaw != FLAW_NONE)
            return flaw;
        lua_pop(L, 1);
    }
    return FLAW_NONE;
}

static int refuse(lua_State *L, enum flaw flaw)
{
    if (flaw == FLAW_DEPTH)
        return luaL_error(L, "write: more than %d tables in each other", NESTED);
    if (flaw == FLAW_VALUE)
        return luaL_error(L, "write: string, number or table expected in a table, got %s", luaL_typename(L, -1));
    const char *key = lua_tostring(L, -1);
    return luaL_error(L, "write: a table must be a list, but this one has the key '%s'",
                      key ? key : luaL_typename(L, -1));
}

/* In place of the table at idx what it holds, as one string. */
static enum flaw join_table(lua_State *L, int idx)
{
    struct joining j = {.to = face_ctx(L)->loop.scratch, .room = limits.scratch, .fits = true};
    enum flaw flaw = add_table(L, &j, idx, 1);
    if (flaw != FLAW_NONE)
        return flaw;
    if (j.fits && !j.collects) {
        lua_pushlstring(L, j.to, j.length);
        lua_replace(L, idx);
        return FLAW_NONE;
    }
    size_t size = j.length;
    j = (struct joining){.to = lua_newuserdata(L, size), .room = size, .fits = true};
    if (add_table(L, &j, idx, 1) != FLAW_NONE || !j.fits)
        luaL_error(L, "write: the table was changed meanwhile");
    lua_pushlstring(L, j.to, j.length);
    lua_replace(L, idx);
    lua_pop(L, 1);
    return FLAW_NONE;
}

/* ---- the write ---- */

enum { JOINED = 64 }; /* bytes of a small piece, on average */

/* Of a write of strings. They lie behind the first argument. */
struct writing {
    struct conn_writing writing;
    size_t first; /* the first that is not wholly written */
    size_t at;    /* where it begins in the whole */
};

/* Small pieces leave as one: to the kernel each place of a vector costs more than copying a few bytes does, and a layer
 * may make a record of each. */
static int join(struct task *t, struct iovec *iov, int count)
{
    const struct conn *c = t->wait.object;
    size_t n = 0;
    for (int i = 0; i < count; n += iov[i++].iov_len)
        memcpy(c->loop->scratch + n, iov[i].iov_base, iov[i].iov_len);
    iov[0] = (struct iovec){.iov_base = c->loop->scratch, .iov_len = n};
    return 1;
}

static int gather(struct task *t, struct iovec *iov, int max)
{
    struct operation *op = &t->op;
    struct writing *w = OPERATION(t, struct writing);
    size_t at = w->at, n, bytes = 0;
    int count = 0;
    for (size_t i = w->first; at < op->length && count < max; i++, at += n) {
        const char *s = lua_tolstring(op->stack, op->base + 1 + (int)i, &n);
        size_t skip = op->total > at ? base_min(op->total - at, n) : 0;
        if (skip == n && count == 0) { /* an empty one behind bytes to be written is not past yet */
            w->first = i + 1;
            w->at = at + n;
        }
        if (skip == n)
            continue;
        iov[count++] = (struct iovec){.iov_base = (char *)s + skip, .iov_len = n - skip};
        bytes += n - skip;
    }
    return count > 1 && bytes <= JOINED * (size_t)count && bytes <= limits.scratch ? join(t, iov, count) : count;
}

/* Writes the strings and numbers behind the first argument. */
static int write_all(lua_State *L, struct conn *c, struct task *t)
{
    size_t n, length = 0;
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        luaL_checklstring(L, i, &n);
        length += n;
    }
    *OPERATION(t, struct writing) = (struct writing){.writing.gather = gather};
    t->op.length = length;
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_write, l_conn_push_written);
}

/* write(...) -> bytes | nil, err, errno, bytes written */
static int l_write(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L)); /* first: a finalizer, which is in no task, must not use the scratch */
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        enum flaw flaw = lua_type(L, i) == LUA_TTABLE ? join_table(L, i) : FLAW_NONE;
        if (flaw != FLAW_NONE)
            return refuse(L, flaw);
    }
    return write_all(L, c, t);
}

/* conn_write_table(conn, table) -> as write; nothing where the table cannot be written: the caller says it in words of
 * its own */
static int l_write_table(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    return join_table(L, 2) == FLAW_NONE ? write_all(L, c, t) : 0;
}

static const luaL_Reg methods[] = {{"write", l_write}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"conn_write_table", l_write_table}, {NULL, NULL}};

void l_conn_write_open(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, methods);
    lua_pop(L, 1);
    face_functions(L, functions);
}
