/* SPDX-License-Identifier: MIT */
/* l_conn_write.c - the arguments of a write stay on the caller's stack, which is where the step finds them. A table of
 * pieces becomes one string first. */
#include "lua/faces.h"

#include "base/decimal.h"
#include "base/hard.h"
#include "lua/l_conn.h"
#include "net/conn_write.h"

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

static void add_table(lua_State *L, struct joining *j, int table, int depth)
{
    luaL_checkstack(L, LUA_MINSTACK, "write: tables nested too deep");
    size_t count = lua_objlen(L, table);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, table, (int)i);
        int type = lua_type(L, -1);
        if (type == LUA_TTABLE && depth == NESTED)
            luaL_error(L, "write: more than %d tables in each other", NESTED);
        if (type == LUA_TTABLE)
            add_table(L, j, lua_gettop(L), depth + 1);
        else if (type == LUA_TSTRING || type == LUA_TNUMBER)
            add_piece(L, j, type);
        else
            luaL_error(L, "write: string, number or table expected in a table, got %s", luaL_typename(L, -1));
        lua_pop(L, 1);
    }
}

/* In place of the table at idx what it holds, as one string. */
static void join_table(lua_State *L, int idx)
{
    struct joining j = {.to = face_ctx(L)->loop.scratch, .room = limits.scratch, .fits = true};
    add_table(L, &j, idx, 1);
    if (j.fits && !j.collects) {
        lua_pushlstring(L, j.to, j.length);
        lua_replace(L, idx);
        return;
    }
    size_t size = j.length;
    j = (struct joining){.to = lua_newuserdata(L, size), .room = size, .fits = true};
    add_table(L, &j, idx, 1);
    if (!j.fits)
        luaL_error(L, "write: the table was changed meanwhile");
    lua_pushlstring(L, j.to, j.length);
    lua_replace(L, idx);
    lua_pop(L, 1);
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

/* write(...) -> bytes | nil, err, errno, bytes written */
static int l_write(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    size_t n, length = 0;
    for (int i = 2, top = lua_gettop(L); i <= top; i++) {
        if (lua_type(L, i) == LUA_TTABLE)
            join_table(L, i);
        luaL_checklstring(L, i, &n);
        length += n;
    }
    *OPERATION(t, struct writing) = (struct writing){.writing.gather = gather};
    t->op.length = length;
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_write, l_conn_push_written);
}

static const luaL_Reg methods[] = {{"write", l_write}, {NULL, NULL}};

void l_conn_write_open(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, methods);
    lua_pop(L, 1);
}
