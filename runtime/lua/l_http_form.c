/* SPDX-License-Identifier: MIT */
/* l_http_form.c - percent-encoding; queries, forms and cookies as Lua tables: one call makes a whole table. */
#include "lua/faces.h"

#include "http/http_form.h"
#include "lua/l_http.h"

#include <string.h>
#include <strings.h>

/* ---- queries and forms ---- */

/* Pushes the text, decoded. If it is malformed: nil if strict, otherwise the text as it is. */
static void push_decoded(lua_State *L, struct http_text text, bool plus, bool strict)
{
    char some[512], *to = some;
    if (!http_form_is_encoded(text, plus)) {
        lua_pushlstring(L, text.at, text.length);
        return;
    }
    if (text.length > sizeof some)
        to = lua_newuserdata(L, text.length);
    ptrdiff_t n = http_form_decode(to, text.at, text.length, plus);
    if (n < 0 && strict)
        lua_pushnil(L);
    else
        lua_pushlstring(L, n < 0 ? text.at : to, n < 0 ? text.length : (size_t)n);
    if (to != some)
        lua_remove(L, -2);
}

/* percent_decode(text, plus) -> text | nil: a '%' without two digits */
static int l_percent_decode(lua_State *L)
{
    push_decoded(L, l_http_text(L, 1), lua_toboolean(L, 2), true);
    return 1;
}

static int count_parts(struct http_text text, char separator)
{
    int n = 1;
    const char *end = text.at + text.length, *at = text.at;
    while (n < 64 && at < end && (at = memchr(at, separator, (size_t)(end - at)))) {
        at++;
        n++;
    }
    return n;
}

/* Pushes {[name] = the last value, ...}; at most `max` pairs, or nil, "too many fields". */
static int push_values(lua_State *L, struct http_text form, size_t max)
{
    struct http_pair p;
    size_t at = 0, n = 0;
    lua_createtable(L, 0, form.length > 0 ? count_parts(form, '&') : 0);
    while (http_form_next(form, &at, &p)) {
        if (n++ >= max) {
            lua_pushnil(L);
            lua_pushliteral(L, "too many fields");
            return 2;
        }
        push_decoded(L, p.name, true, false);
        push_decoded(L, p.value, true, false);
        lua_rawset(L, -3);
    }
    return 1;
}

/* form_values(text[, max]) -> {[name] = the last value, ...} | nil, "too many fields" */
static int l_form_values(lua_State *L)
{
    return push_values(L, l_http_text(L, 1), face_size(L, 2, 0, SIZE_MAX));
}

/* form_pairs(text[, max]) -> {{name, value}, ...} | nil, "too many fields" */
static int l_form_pairs(lua_State *L)
{
    struct http_text form = l_http_text(L, 1);
    size_t at = 0, n = 0, max = face_size(L, 2, 0, SIZE_MAX);
    struct http_pair p;
    lua_newtable(L);
    while (http_form_next(form, &at, &p)) {
        if (n++ >= max) {
            lua_pushnil(L);
            lua_pushliteral(L, "too many fields");
            return 2;
        }
        lua_createtable(L, 2, 0);
        push_decoded(L, p.name, true, false);
        lua_rawseti(L, -2, 1);
        push_decoded(L, p.value, true, false);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)n);
    }
    return 1;
}

/* query(serial) -> {[name] = the last value, ...} */
static int l_query(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    struct http_span s = x->head.has_query ? x->head.query : (struct http_span){0};
    return push_values(L, (struct http_text){buf_at(&x->bytes) + s.at, s.length}, SIZE_MAX);
}

/* ---- cookies ---- */

/* Adds the cookies of a Cookie field to the table on top; the first of each name counts. */
static void add_cookies(lua_State *L, struct http_text field)
{
    struct http_pair p;
    size_t at = 0;
    while (http_form_next_cookie(field, &at, &p)) {
        lua_pushlstring(L, p.name.at, p.name.length);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        bool is_new = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!is_new) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushlstring(L, p.value.at, p.value.length);
        lua_rawset(L, -3);
    }
}

/* cookies(text) -> {[name] = value, ...} */
static int l_cookies_of(lua_State *L)
{
    struct http_text field = l_http_text(L, 1);
    lua_newtable(L);
    add_cookies(L, field);
    return 1;
}

/* cookies(serial) -> {[name] = value, ...}: several fields are one, as HTTP/2 sends them (RFC 9113 8.2.3) */
static int l_cookies(lua_State *L)
{
    struct http_exchange *x = l_http_current(L);
    bool is_made = false;
    for (int i = 0; i < x->head.count; i++) {
        const struct http_field *f = &x->head.fields[i];
        struct http_text field = {buf_at(&x->bytes) + f->value.at, f->value.length};
        if (f->name.length != 6 || strncasecmp(buf_at(&x->bytes) + f->name.at, "cookie", 6) != 0)
            continue;
        if (!is_made)
            lua_createtable(L, 0, count_parts(field, ';'));
        is_made = true;
        add_cookies(L, field);
    }
    if (!is_made)
        lua_newtable(L);
    return 1;
}

static const luaL_Reg methods[] = {{"cookies", l_cookies}, {"query", l_query}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"form_pairs", l_form_pairs},
    {"form_values", l_form_values},
    {"http_cookies", l_cookies_of},
    {"percent_decode", l_percent_decode},
    {NULL, NULL},
};

void l_http_form_open(lua_State *L)
{
    l_http_methods(L, methods);
    face_functions(L, functions);
}
