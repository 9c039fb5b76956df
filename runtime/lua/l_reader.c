/* SPDX-License-Identifier: MIT */
/* l_reader.c - reads for protocols. Those that look at what is buffered, take it or put it back never wait, and are no
 * operations. The others are reads like l_conn.c's. */
#include "lua/faces.h"

#include "base/errors.h"
#include "lua/l_conn.h"
#include "net/conn_fill.h"
#include "net/unpack.h"

#include <errno.h>
#include <string.h>

/* ---- looking at what is buffered ---- */

/* What another task reads is not ours to look at. */
static int refused(lua_State *L, const struct conn *c)
{
    if (c->closed)
        return ERR_CLOSED;
    if (c->lost)
        return -ENOMEM;
    return c->side[POLL_R].holder && c->side[POLL_R].holder != face_running(face_ctx(L)) ? -EBUSY : 0;
}

/* The offset at idx, 0 if there is none: how many buffered bytes lie before what is meant. */
static size_t offset(lua_State *L, int idx) { return face_size(L, idx, 0, 0); }

/* buffered() -> bytes | nil, err, errno */
static int l_buffered(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    int r = refused(L, c);
    if (r < 0)
        return face_error(L, r);
    lua_pushnumber(L, (lua_Number)buf_len(&c->in));
    return 1;
}

/* read_buffered([max]) -> 1..max bytes | nil, err, errno; nil alone: nothing is buffered */
static int l_read_buffered(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    size_t max = face_size(L, 2, 1, SIZE_MAX);
    int r = refused(L, c);
    if (r < 0)
        return face_error(L, r);
    size_t n = base_min(buf_len(&c->in), max);
    if (n == 0)
        return 0;
    bool pinned = c->pinned; /* a finalizer that runs while the string is made may close c */
    c->pinned = true;
    lua_pushlstring(L, buf_at(&c->in), n);
    c->pinned = pinned;
    buf_consume(&c->in, n);
    c->taken += n;
    return 1;
}

/* unread(bytes) -> true | nil, err, errno: the next read finds them first */
static int l_unread(lua_State *L)
{
    size_t n;
    struct conn *c = l_conn_self(L);
    const char *bytes = luaL_checklstring(L, 2, &n);
    int r = refused(L, c);
    return face_result(L, r < 0 ? r : buf_prepend(&c->in, bytes, n));
}

/* find(bytes[, offset]) -> offset | nil, err, errno; nil alone: not among what is buffered */
static int l_find(lua_State *L)
{
    size_t n;
    struct conn *c = l_conn_self(L);
    const char *bytes = luaL_checklstring(L, 2, &n);
    luaL_argcheck(L, n > 0, 2, "nothing to look for");
    size_t from = offset(L, 3);
    int r = refused(L, c);
    if (r < 0)
        return face_error(L, r);
    ptrdiff_t at = buf_find_from(&c->in, from, bytes, n);
    if (at < 0)
        return 0;
    lua_pushnumber(L, (lua_Number)at);
    return 1;
}

/* peek(n[, offset]) -> n bytes | nil, err, errno; nil alone: not all of them are buffered */
static int l_peek(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    (void)face_number(L, 2);
    size_t n = face_size(L, 2, 0, 0), from = offset(L, 3);
    int r = refused(L, c);
    if (r < 0)
        return face_error(L, r);
    if (from > buf_len(&c->in) || n > buf_len(&c->in) - from)
        return 0;
    bool pinned = c->pinned; /* a finalizer that runs while the string is made may close c */
    c->pinned = true;
    lua_pushlstring(L, n ? buf_at(&c->in) + from : "", n);
    c->pinned = pinned;
    return 1;
}

static void push_value(lua_State *L, int kind, const struct unpack_value *v)
{
    if (kind == UNPACK_NUMBER)
        lua_pushnumber(L, v->number);
    else if (kind == UNPACK_STRING)
        lua_pushlstring(L, v->bytes, v->length);
    else
        lua_pushnil(L);
}

/* Pushes the values of a format, from u->at on, or puts them into the table at `table`, behind its first n; UNPACK_END,
 * or what came instead. A finalizer that runs meanwhile may close c. */
static int push_values(lua_State *L, struct conn *c, struct unpack *u, int table, int n)
{
    struct unpack_value v;
    bool pinned = c->pinned;
    int r;
    c->pinned = true;
    while ((r = unpack_next(u, &v)) > UNPACK_END && r != UNPACK_SHORT) {
        if (!table && u->values > LUA_MINSTACK / 2)
            luaL_checkstack(L, LUA_MINSTACK / 2, "too many values");
        push_value(L, r, &v);
        if (table)
            lua_rawseti(L, table, n + u->values);
    }
    c->pinned = pinned;
    return r;
}

/* Reads the format at idx, or raises. */
static void read_format(lua_State *L, int idx, struct unpack_format *f)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n), *wrong = unpack_read(f, text, n);
    if (wrong == text + n)
        luaL_argerror(L, idx, "the format ends in a group");
    if (wrong)
        luaL_argerror(L, idx, lua_pushfstring(L, f->count < UNPACK_ITEMS ? "'%s' is no format"
                                                                       : "'%s' is too much for a format", wrong));
}

static void begin(struct unpack *u, const struct conn *c, const struct unpack_format *f, size_t from)
{
    unpack_init(u, f, buf_len(&c->in) ? buf_at(&c->in) : "", buf_len(&c->in), from);
}

/* Of an unpack that has not found everything. */
static int unpack_failed(lua_State *L, int code, size_t needed)
{
    if (code < 0)
        return face_error(L, code);
    lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)needed);
    return 2;
}

/* unpack(format[, offset]) -> offset behind, values ... | nil, bytes needed | nil, err, errno */
static int l_unpack(lua_State *L)
{
    struct unpack_format f;
    struct unpack u;
    struct conn *c = l_conn_self(L);
    read_format(L, 2, &f);
    begin(&u, c, &f, offset(L, 3));
    int r = refused(L, c);
    lua_settop(L, 2);
    lua_pushnil(L); /* the offset's place */
    if (r == 0)
        r = u.at > u.length ? UNPACK_SHORT : push_values(L, c, &u, 0, 0);
    if (r != UNPACK_END)
        return unpack_failed(L, r, u.needed);
    lua_pushnumber(L, (lua_Number)u.at);
    lua_replace(L, 3);
    return u.values + 1;
}

/* unpack_all(table, format[, offset]) -> offset behind, how many values | nil, bytes needed | nil, err, errno */
static int l_unpack_all(lua_State *L)
{
    struct unpack_format f;
    struct unpack u;
    struct conn *c = l_conn_self(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    read_format(L, 3, &f);
    size_t first = offset(L, 4), at = first;
    int values = 0, r = refused(L, c);
    do {
        begin(&u, c, &f, at);
        if (r == 0)
            r = at > u.length ? UNPACK_SHORT : push_values(L, c, &u, 2, values);
        if (r != UNPACK_END)
            break;
        values += u.values;
        at = u.at;
    } while (u.values > 0 && values < UNPACK_VALUES);
    if (at == first)
        return unpack_failed(L, r, u.needed);
    lua_pushnumber(L, (lua_Number)at);
    lua_pushnumber(L, values);
    return 2;
}

/* ---- reading ---- */

/* bytes buffered; or why not */
static int push_filled(lua_State *L, struct task *t)
{
    const struct conn *c = t->wait.object;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushnumber(L, (lua_Number)buf_len(&c->in));
    return 1;
}

/* fill(n[, max]) -> bytes buffered | nil, err, errno */
static int l_fill(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    (void)face_number(L, 2);
    *OPERATION(t, struct conn_filling) = (struct conn_filling){
        .n = face_size(L, 2, 0, 0), .limit = face_size(L, 3, 0, CONN_FILL_MAX)};
    return l_conn_run(L, t, c, &conn_fill, push_filled);
}

/* skip(n) -> n | nil, err, errno, bytes skipped */
static int l_skip(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    (void)face_number(L, 2);
    t->op.length = face_size(L, 2, 0, 0);
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_skip, l_conn_push_written);
}

/* The bytes are taken after the last value has been made. */
static int push_unpacked(lua_State *L, struct task *t)
{
    const struct conn_unpacking *p = OPERATION(t, struct conn_unpacking);
    struct conn *c = t->wait.object;
    struct unpack_format f;
    struct unpack u;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushnumber(L, (lua_Number)t->op.total);
    must(!unpack_read(&f, p->format, p->format_length));
    begin(&u, c, &f, 0);
    must(push_values(L, c, &u, 0, 0) == UNPACK_END);
    buf_consume(&c->in, t->op.total);
    return u.values + 1;
}

/* read_unpack(format[, max]) -> bytes taken, values ... | nil, err, errno */
static int l_read_unpack(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    struct conn_unpacking *p = OPERATION(t, struct conn_unpacking);
    struct unpack_format f;
    *p = (struct conn_unpacking){.limit = face_size(L, 3, 0, CONN_UNPACK_MAX)};
    p->format = luaL_checklstring(L, 2, &p->format_length);
    read_format(L, 2, &f);
    return l_conn_run(L, t, c, &conn_unpack, push_unpacked);
}

/* read_into(connection, address, max, least, whose it is) -> bytes | nil, err, errno, bytes. lua/moonpark/net/
 * has checked the memory, which the last argument keeps alive. */
static int l_read_into(lua_State *L)
{
    struct conn *c = l_conn_self(L);
    struct task *t = face_task(L, face_ctx(L));
    *OPERATION(t, struct conn_placing) = (struct conn_placing){
        .to = (char *)(uintptr_t)face_number(L, 2), .least = face_size(L, 4, 0, 0)};
    t->op.length = face_size(L, 3, 0, 0);
    t->op.total = 0;
    return l_conn_run(L, t, c, &conn_read_into, l_conn_push_written);
}

static const luaL_Reg methods[] = {
    {"buffered", l_buffered},
    {"fill", l_fill},
    {"find", l_find},
    {"peek", l_peek},
    {"read_buffered", l_read_buffered},
    {"read_unpack", l_read_unpack},
    {"skip", l_skip},
    {"unpack", l_unpack},
    {"unpack_all", l_unpack_all},
    {"unread", l_unread},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {{"read_into", l_read_into}, {NULL, NULL}};

void l_reader_open(lua_State *L)
{
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_CONN);
    face_functions(L, methods);
    lua_pop(L, 1);
    face_functions(L, functions);
}
