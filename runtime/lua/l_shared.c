/* SPDX-License-Identifier: MIT */
/* l_shared.c - the Lua face of dicts that processes share, and of their memory.
 *
 * Nothing of Lua runs while a lock is held: arguments are read before, and results are pushed from private copies. */
#include "lua/l_shared.h"

#include "base/errors.h"
#include "base/sys.h"
#include "base/sys_memory.h"
#include "shared/dict_keys.h"

#include <math.h>
#include <string.h>

static const char dict_mark = 0;

struct face_dict {
    const void *mark;
    struct list link; /* in ctx.shared, while open */
    struct dict dict;
    struct dict_keys keys; /* that are being pushed */
};

/* ---- segments ---- */

/* shared_memory(name, size) -> a descriptor of new memory | nil, err, errno */
static int l_memory(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    int fd = sys_memfd(name, face_size(L, 2, 1, 1));
    if (fd < 0)
        return face_error(L, fd);
    lua_pushinteger(L, fd);
    return 1;
}

/* What open functions return: true | nil, err, errno, or false, what is wrong with the segment. */
int l_shared_opened(lua_State *L, int r, const struct segment *s, const char *kind, lua_Number size)
{
    if (r <= 0)
        return face_result(L, r);
    lua_pushboolean(L, 0);
    switch (r) {
    case SEGMENT_OTHER_KIND:
        lua_pushfstring(L, "is of the kind '%s', not '%s'", s->kind, kind);
        break;
    case SEGMENT_OTHER_NAME:
        lua_pushfstring(L, "has the memory of '%s'", s->name);
        break;
    case SEGMENT_OTHER_SIZE:
        lua_pushfstring(L, "has %f bytes, not %f", (lua_Number)s->size, size);
        break;
    case SEGMENT_DAMAGED:
        lua_pushliteral(L, "is damaged");
        break;
    default:
        lua_pushliteral(L, "has memory of another kind or version");
    }
    return 2;
}

/* ---- arguments of dicts ---- */

static struct face_dict *self(lua_State *L)
{
    struct face_dict *d = face_self(L, 1, &dict_mark, sizeof *d, "shared dict");
    if (!d->dict.segment.base)
        luaL_error(L, "shared dict is closed");
    return d;
}

static struct shard_key check_key(lua_State *L, const struct face_dict *d)
{
    size_t n;
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_argerror(L, 2, lua_pushfstring(L, "string expected as key, got %s", luaL_typename(L, 2)));
    const char *bytes = lua_tolstring(L, 2, &n);
    luaL_argcheck(L, n > 0, 2, "key is empty");
    luaL_argcheck(L, n <= SHARD_KEY_MAX, 2, "key is longer than 65535 bytes");
    return dict_key(&d->dict, bytes, n);
}

static struct shard_value check_value(lua_State *L, int idx)
{
    struct shard_value v = {0};
    size_t n;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        v.type = SHARD_STRING;
        v.bytes = lua_tolstring(L, idx, &n);
        v.length = (uint32_t)n; /* LuaJIT's strings are shorter than 2 GiB */
        break;
    case LUA_TNUMBER:
        v.type = SHARD_NUMBER;
        v.number = lua_tonumber(L, idx);
        break;
    case LUA_TBOOLEAN:
        v.type = lua_toboolean(L, idx) ? SHARD_TRUE : SHARD_FALSE;
        break;
    default:
        luaL_argerror(L, idx, lua_pushfstring(L, "string, number or boolean expected, a %s cannot be shared",
                                              luaL_typename(L, idx)));
    }
    return v;
}

/* Seconds to live as ns; 0: none. */
static int64_t check_ttl(lua_State *L, int idx)
{
    if (lua_isnoneornil(L, idx))
        return 0;
    lua_Number seconds = face_number(L, idx);
    if (!(seconds > 0))
        luaL_argerror(L, idx, "positive number of seconds expected");
    if (isinf(seconds))
        return 0;
    int64_t ns = clock_ns(seconds);
    return ns > 0 ? ns : 1;
}

/* ---- methods of dicts ---- */

static int push_value(lua_State *L, const struct shard_value *v)
{
    switch (v->type) {
    case SHARD_STRING:
        lua_pushlstring(L, v->bytes, v->length);
        break;
    case SHARD_NUMBER:
        lua_pushnumber(L, v->number);
        break;
    default:
        lua_pushboolean(L, v->type == SHARD_TRUE);
    }
    return 1;
}

static int push_refusal(lua_State *L, int r)
{
    static const char *const words[] = {
        [DICT_EXISTS] = "exists", [DICT_NOT_FOUND] = "not found", [DICT_NOT_A_NUMBER] = "not a number",
        [DICT_CHANGED] = "changed", [DICT_NO_ROOM] = "no memory"};
    lua_pushnil(L);
    lua_pushstring(L, words[r]);
    return 2;
}

/* get(key) -> value | nil */
static int l_get(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    struct shard_value v;
    int r = dict_get(&d->dict, &k, &v);
    if (r < 0)
        return luaL_error(L, "not enough memory");
    if (r > 0)
        return push_value(L, &v);
    lua_pushnil(L);
    return 1;
}

/* get_stale(key) -> value, whether it is over | nil */
static int l_get_stale(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    struct shard_value v;
    bool stale;
    int r = dict_get_stale(&d->dict, &k, &v, &stale);
    if (r < 0)
        return luaL_error(L, "not enough memory");
    if (r == 0) {
        lua_pushnil(L);
        return 1;
    }
    push_value(L, &v);
    lua_pushboolean(L, stale);
    return 2;
}

static int write(lua_State *L, enum dict_how how, bool gently, int value)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    struct dict_write w = {
        .how = how, .gently = gently, .value = check_value(L, value), .ttl = check_ttl(L, value + 1)};
    if (how == DICT_COMPARE && !lua_isnil(L, 3))
        w.old = check_value(L, 3);
    int r = dict_write(&d->dict, &k, &w);
    if (r != 0)
        return push_refusal(L, r);
    lua_pushboolean(L, 1);
    lua_pushboolean(L, w.evicted);
    return 2;
}

/* set(key, value [, ttl]) -> true, evicted | nil, "no memory" */
static int l_set(lua_State *L) { return write(L, DICT_SET, false, 3); }

/* add(key, value [, ttl]) -> true, evicted | nil, "exists" or "no memory" */
static int l_add(lua_State *L) { return write(L, DICT_ADD, false, 3); }

/* replace(key, value [, ttl]) -> true, evicted | nil, "not found" or "no memory" */
static int l_replace(lua_State *L) { return write(L, DICT_REPLACE, false, 3); }

/* safe_set(key, value [, ttl]) -> true, false | nil, "no memory": nothing is evicted for it */
static int l_safe_set(lua_State *L) { return write(L, DICT_SET, true, 3); }

/* safe_add(key, value [, ttl]) -> true, false | nil, "exists" or "no memory" */
static int l_safe_add(lua_State *L) { return write(L, DICT_ADD, true, 3); }

/* compare_and_set(key, old, new [, ttl]) -> true, evicted | nil, "changed" or "no memory" */
static int l_compare_and_set(lua_State *L) { return write(L, DICT_COMPARE, false, 4); }

/* safe_compare_and_set(key, old, new [, ttl]) -> true, false | nil, "changed" or "no memory" */
static int l_safe_compare_and_set(lua_State *L) { return write(L, DICT_COMPARE, true, 4); }

/* compare_and_delete(key, old) -> true | nil, "changed" */
static int l_compare_and_delete(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    struct dict_write w = {.how = DICT_COMPARE, .old = check_value(L, 3)};
    int r = dict_write(&d->dict, &k, &w);
    if (r != 0)
        return push_refusal(L, r);
    lua_pushboolean(L, 1);
    return 1;
}

/* delete(key) -> was it there */
static int l_delete(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    lua_pushboolean(L, dict_delete(&d->dict, &k));
    return 1;
}

/* incr(key [, by [, init [, ttl]]]) -> number, evicted | nil, "not found", "not a number" or "no memory" */
static int l_incr(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    struct dict_incr i = {.by = face_number_or(L, 3, 1), .may_init = !lua_isnoneornil(L, 4)};
    i.init = face_number_or(L, 4, 0);
    i.ttl = check_ttl(L, 5);
    int r = dict_incr(&d->dict, &k, &i);
    if (r != 0)
        return push_refusal(L, r);
    lua_pushnumber(L, i.result);
    lua_pushboolean(L, i.evicted);
    return 2;
}

/* ttl(key) -> seconds | nil, "not found" */
static int l_ttl(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    int64_t ttl;
    int r = dict_ttl(&d->dict, &k, &ttl);
    if (r != 0)
        return push_refusal(L, r);
    lua_pushnumber(L, ttl ? (lua_Number)ttl / 1e9 : (lua_Number)INFINITY);
    return 1;
}

/* expire(key, seconds) -> true | nil, "not found" */
static int l_expire(lua_State *L)
{
    struct face_dict *d = self(L);
    struct shard_key k = check_key(L, d);
    luaL_checkany(L, 3);
    int r = dict_expire(&d->dict, &k, check_ttl(L, 3));
    if (r != 0)
        return push_refusal(L, r);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- the same for LuaJIT's FFI, which compiles these calls ---- */

/* Whatever is not ordinary is left to the functions above, which say what is wrong. */
static bool is_ordinary(const struct face_dict *d, uint32_t n)
{
    return d && d->mark == &dict_mark && d->dict.segment.base && n > 0 && n <= SHARD_KEY_MAX;
}

/* -> the value's type, SHARD_NONE, or -1 */
static int call_get(struct face_dict *d, const char *key, uint32_t n, struct shard_value *v)
{
    if (!is_ordinary(d, n))
        return -1;
    struct shard_key k = dict_key(&d->dict, key, n);
    int r = dict_get(&d->dict, &k, v);
    return r > 0 ? (int)v->type : r;
}

/* -> 1: entries were evicted for it, 0 or -1 */
static int call_set(struct face_dict *d, const char *key, uint32_t n, const struct shard_value *v)
{
    if (!is_ordinary(d, n))
        return -1;
    struct shard_key k = dict_key(&d->dict, key, n);
    struct dict_write w = {.value = *v};
    return dict_write(&d->dict, &k, &w) == 0 ? w.evicted : -1;
}

/* -> 0, with the sum in *number, or -1 */
static int call_incr(struct face_dict *d, const char *key, uint32_t n, double *number)
{
    if (!is_ordinary(d, n))
        return -1;
    struct shard_key k = dict_key(&d->dict, key, n);
    struct dict_incr i = {.by = *number};
    if (dict_incr(&d->dict, &k, &i) != 0)
        return -1;
    *number = i.result;
    return 0;
}

/* shared_calls() -> the addresses of call_get, call_set, call_incr, and a value's size */
static int l_calls(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)call_get);
    lua_pushlightuserdata(L, (void *)call_set);
    lua_pushlightuserdata(L, (void *)call_incr);
    lua_pushinteger(L, sizeof(struct shard_value));
    return 4;
}

/* ---- other methods of dicts ---- */

/* keys([max]) -> array of strings */
static int l_keys(lua_State *L)
{
    struct face_dict *d = self(L);
    size_t max = face_size(L, 2, 1, 1024);
    dict_keys_fini(&d->keys);
    if (dict_keys(&d->dict, max, &d->keys) < 0) {
        dict_keys_fini(&d->keys);
        return luaL_error(L, "not enough memory");
    }
    lua_createtable(L, (int)d->keys.count, 0);
    for (uint64_t i = 0; i < d->keys.count; i++) {
        const struct dict_name *name = &d->keys.names[i];
        lua_pushlstring(L, d->keys.bytes + name->at, name->length);
        lua_rawseti(L, -2, (int)i + 1);
    }
    dict_keys_fini(&d->keys);
    return 1;
}

/* flush_expired([max]) -> how many entries were over, and are gone */
static int l_flush_expired(lua_State *L)
{
    struct face_dict *d = self(L);
    lua_pushnumber(L, (lua_Number)dict_flush_expired(&d->dict, face_size(L, 2, 0, 0)));
    return 1;
}

/* expire_all(): all entries are over from now on */
static int l_expire_all(lua_State *L)
{
    dict_expire_all(&self(L)->dict);
    return 0;
}

/* keep_expired(): entries that are over stay until their room is needed */
static int l_keep_expired(lua_State *L)
{
    self(L)->dict.keeps_over = true;
    return 0;
}

/* flush() */
static int l_flush(lua_State *L)
{
    dict_flush(&self(L)->dict);
    return 0;
}

static void set_number(lua_State *L, const char *name, uint64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, name);
}

/* stats() -> {entries, evicted, expired, bytes, size, repaired, emptied} */
static int l_stats(lua_State *L)
{
    struct face_dict *d = self(L);
    struct dict_stats stats = dict_stats(&d->dict);
    lua_createtable(L, 0, 7);
    set_number(L, "entries", stats.entries);
    set_number(L, "evicted", stats.evicted);
    set_number(L, "expired", stats.expired);
    set_number(L, "repaired", stats.repaired);
    set_number(L, "emptied", stats.emptied);
    set_number(L, "bytes", stats.bytes);
    set_number(L, "size", d->dict.segment.size);
    return 1;
}

static int l_dict_gc(lua_State *L)
{
    struct face_dict *d = face_test(L, 1, &dict_mark, sizeof *d);
    if (d) {
        list_del(&d->link);
        dict_close(&d->dict);
        dict_keys_fini(&d->keys);
    }
    return 0;
}

static int l_dict_tostring(lua_State *L)
{
    const struct face_dict *d = self(L);
    lua_pushfstring(L, "shared dict '%s'", d->dict.segment.name);
    return 1;
}

/* shared_dict() -> a dict that is not open yet: so that its memory has an owner from the first moment */
static int l_dict(lua_State *L)
{
    struct face_dict *d = face_new(L, FACE_META_SHARED_DICT, sizeof *d);
    d->mark = &dict_mark;
    d->dict.clock = &face_ctx(L)->loop.clock;
    d->dict.turn = &face_ctx(L)->loop.sched.now;
    list_init(&d->link);
    return 1;
}

/* shared_dict_open(dict, fd, name, size) -> true | nil, err, errno | false, what is wrong with it. Closes fd. */
static int l_dict_open(lua_State *L)
{
    struct face_dict *d = face_self(L, 1, &dict_mark, sizeof *d, "shared dict");
    int fd = (int)luaL_checkinteger(L, 2);
    const char *name = luaL_checkstring(L, 3);
    size_t size = face_size(L, 4, DICT_SIZE_MIN, DICT_SIZE_MIN);
    must(!d->dict.segment.base);
    int r = dict_open(&d->dict, fd, name, size);
    sys_close(fd);
    if (r == 0)
        list_push(&face_ctx(L)->dicts, &d->link);
    return l_shared_opened(L, r, &d->dict.segment, "dict", (lua_Number)size);
}

/* ---- tables ---- */

void l_shared_check(const struct ctx *cx)
{
    for (struct list *l = cx->dicts.next; l != &cx->dicts; l = l->next)
        dict_check(&container_of(l, struct face_dict, link)->dict);
}

static const luaL_Reg dict_methods[] = {
    {"__gc", l_dict_gc},
    {"__tostring", l_dict_tostring},
    {"add", l_add},
    {"compare_and_delete", l_compare_and_delete},
    {"compare_and_set", l_compare_and_set},
    {"delete", l_delete},
    {"expire", l_expire},
    {"expire_all", l_expire_all},
    {"flush", l_flush},
    {"flush_expired", l_flush_expired},
    {"get", l_get},
    {"get_stale", l_get_stale},
    {"incr", l_incr},
    {"keep_expired", l_keep_expired},
    {"keys", l_keys},
    {"replace", l_replace},
    {"safe_add", l_safe_add},
    {"safe_compare_and_set", l_safe_compare_and_set},
    {"safe_set", l_safe_set},
    {"set", l_set},
    {"stats", l_stats},
    {"ttl", l_ttl},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"shared_calls", l_calls},
    {"shared_dict", l_dict},
    {"shared_dict_open", l_dict_open},
    {"shared_memory", l_memory},
    {NULL, NULL},
};

void l_shared_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    list_init(&cx->dicts);
    face_class(L, FACE_META_SHARED_DICT, "moonpark.shared_dict", dict_methods);
    face_functions(L, functions);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_SHARED_DICT);
    lua_setfield(L, -2, "shared_dict_class");
}
