/* SPDX-License-Identifier: MIT */
/* l_json.c - values to JSON: the text and the refusals of lua-cjson, set to be strict. No metamethod is called.
 *
 * The text grows in a buffer that is used again. A call marks its text as taken and keeps it on its stack. If the call
 * raises, the text stays taken; a finalizer that encodes something in the middle of the call finds it taken. In both
 * cases a fresh text replaces it, and the collector frees the old one once no call holds it. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <math.h>

enum {
    DEPTH_MAX = 100,  /* of tables in tables */
    SPARSE_RATIO = 2, /* a list with more than so many places for each of its items is refused, */
    SPARSE_SAFE = 8,  /* if it has more places than this */
    LEVEL_SLOTS = 3,  /* of the Lua stack for a table: key, value, why something is refused */
};

struct text {
    const void *mark;
    struct buf bytes;
    bool taken;
};

static const char mark = 0;

/* These leave the reason on the stack when they return false. */
static bool put_value(lua_State *L, struct buf *b, int depth);

static bool refuse(lua_State *L, int idx, const char *why)
{
    lua_pushfstring(L, "Cannot serialise %s: %s", luaL_typename(L, idx), why);
    return false;
}

static bool put(lua_State *L, int r)
{
    if (r < 0)
        lua_pushstring(L, errors_text(r));
    return r >= 0;
}

static inline bool put_byte(lua_State *L, struct buf *b, char byte)
{
    char *to = buf_reserve(b, 1);
    if (!to)
        return put(L, -ENOMEM);
    *to = byte;
    buf_commit(b, 1);
    return true;
}

static bool put_string(lua_State *L, struct buf *b, int idx)
{
    size_t n;
    const char *bytes = lua_tolstring(L, idx, &n);
    return put(L, json_string(b, bytes, n));
}

static bool put_number(lua_State *L, struct buf *b, int idx)
{
    double x = lua_tonumber(L, idx);
    if (!isfinite(x))
        return refuse(L, idx, "must not be NaN or Inf");
    return put(L, json_number(b, x));
}

/* The key at -2. It is not turned into a string in its place: lua_next needs it. */
static bool put_key(lua_State *L, struct buf *b)
{
    int type = lua_type(L, -2);
    if (type == LUA_TSTRING)
        return put_string(L, b, -2) && put_byte(L, b, ':');
    if (type != LUA_TNUMBER)
        return refuse(L, -2, "table key must be a number or string");
    return put_byte(L, b, '"') && put_number(L, b, -2) && put(L, buf_append(b, "\":", 2));
}

/* The table at -3, whose first key and value are on top. */
static bool put_pairs(lua_State *L, struct buf *b, int depth)
{
    char before = '{';
    do {
        if (!put_byte(L, b, before) || !put_key(L, b) || !put_value(L, b, depth))
            return false;
        lua_pop(L, 1);
        before = ',';
    } while (lua_next(L, -2));
    return put_byte(L, b, '}');
}

/* The first n places of the table on top. */
static bool put_items(lua_State *L, struct buf *b, int n, int depth)
{
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        if (!put_byte(L, b, i == 1 ? '[' : ',') || !put_value(L, b, depth))
            return false;
        lua_pop(L, 1);
    }
    return put_byte(L, b, ']');
}

static bool is_place(double key) { return key >= 1 && key <= INT_MAX && (double)(int)key == key; }

/* How many places the table at -3 has as a list; 0 if one of its keys is no place in a list; -1 if it is too sparse.
 * Takes its first key and value from the top. Keys above INT_MAX are no places: lua-cjson counts in an int, which
 * overflows there. */
static int places_of(lua_State *L)
{
    int places = 0;
    int64_t items = 0;
    do {
        lua_pop(L, 1);
        double key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (!is_place(key)) {
            lua_pop(L, 1);
            return 0;
        }
        places = (int)key > places ? (int)key : places;
        items++;
    } while (lua_next(L, -2));
    return places > SPARSE_SAFE && places > items * SPARSE_RATIO ? -1 : places;
}

/* The table on top. A first key that is a string says what it is: most objects need no look at their other keys. */
static bool put_table(lua_State *L, struct buf *b, int depth)
{
    if (depth > DEPTH_MAX || !lua_checkstack(L, LEVEL_SLOTS)) {
        lua_pushfstring(L, "Cannot serialise, excessive nesting (%d)", depth);
        return false;
    }
    lua_pushnil(L);
    if (!lua_next(L, -2))
        return put(L, buf_append(b, "{}", 2));
    if (lua_type(L, -2) == LUA_TSTRING)
        return put_pairs(L, b, depth);
    int places = places_of(L);
    if (places > 0)
        return put_items(L, b, places, depth);
    if (places < 0)
        return refuse(L, -1, "excessively sparse array");
    lua_pushnil(L);
    return lua_next(L, -2) && put_pairs(L, b, depth);
}

/* The value on top, in so many tables. */
static bool put_value(lua_State *L, struct buf *b, int depth)
{
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return put_string(L, b, -1);
    case LUA_TNUMBER:
        return put_number(L, b, -1);
    case LUA_TTABLE:
        return put_table(L, b, depth + 1);
    case LUA_TBOOLEAN:
        return put(L, lua_toboolean(L, -1) ? buf_append(b, "true", 4) : buf_append(b, "false", 5));
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1))
            return refuse(L, -1, "type not supported");
        return put(L, buf_append(b, "null", 4));
    case LUA_TNIL:
        return put(L, buf_append(b, "null", 4));
    default:
        return refuse(L, -1, "type not supported");
    }
}

/* Pushes a text that nobody else is working on. */
static struct text *take(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_JSON);
    struct text *t = lua_touserdata(L, -1);
    if (!t || t->taken) {
        lua_pop(L, 1);
        t = face_new(L, FACE_META_TEXT, sizeof *t);
        t->mark = &mark;
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_JSON);
    }
    t->taken = true;
    return t;
}

/* A buffer that one large text has needed is not kept for small ones. */
static void give_back(struct text *t)
{
    buf_consume(&t->bytes, buf_len(&t->bytes));
    if (t->bytes.capacity > limits.scratch)
        buf_release(&t->bytes);
    t->taken = false;
}

/* json_encode(value) -> text | nil, why */
static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct text *t = take(L);
    lua_insert(L, 1);
    if (put_value(L, &t->bytes, 0)) {
        lua_pushlstring(L, buf_at(&t->bytes), buf_len(&t->bytes));
        give_back(t);
        return 1;
    }
    give_back(t);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Stays taken: a finalizer that encodes after it, while the state is closed, gets another one. */
static int l_gc(lua_State *L)
{
    struct text *t = face_test(L, 1, &mark, sizeof *t);
    if (t) {
        t->taken = true;
        buf_fini(&t->bytes);
    }
    return 0;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"json_encode", l_encode}, {NULL, NULL},
};

void l_json_open(lua_State *L)
{
    face_class(L, FACE_META_TEXT, "json text", methods);
    face_functions(L, functions);
}
