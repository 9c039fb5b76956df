/* SPDX-License-Identifier: MIT */
/* l_http_head.c - names are pushed in lower case, so that scripts can compare them as plain strings. */
#include "lua/l_http_head.h"

#include "http/http_fields.h"

static void push_lower(lua_State *L, const char *name, size_t n)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++)
        luaL_addchar(&b, (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]));
    luaL_pushresult(&b);
}

/* The i-th, from 0 on, into the table on top. */
static void set_field(lua_State *L, const char *bytes, const struct http_field *f, int i)
{
    push_lower(L, bytes + f->name.at, f->name.length);
    lua_rawseti(L, -2, 2 * i + 1);
    lua_pushlstring(L, bytes + f->value.at, f->value.length);
    lua_rawseti(L, -2, 2 * i + 2);
}

void l_http_head_push(lua_State *L, const char *bytes, const struct http_head *head)
{
    lua_createtable(L, 2 * head->count, 0);
    for (int i = 0; i < head->count; i++)
        set_field(L, bytes, &head->fields[i], i);
}

/* From a copy: a finalizer that runs meanwhile may take the connection away, and the trailer section goes with it. */
void l_http_head_push_trailer(lua_State *L, const struct buf *trailer)
{
    struct http_field f;
    size_t at = 0, n = buf_len(trailer);
    struct buf copy = {.bytes = lua_newuserdata(L, n + 1), .capacity = n + 1};
    if (buf_len(trailer) < n)
        luaL_error(L, "connection was taken away meanwhile");
    (void)buf_append(&copy, buf_at(trailer), n);
    lua_newtable(L);
    for (int i = 0; http_fields_next(&copy, &at, &f); i++)
        set_field(L, buf_at(&copy), &f, i);
}

int l_http_head_push_framing(lua_State *L, const struct http_head *head, const struct http_body *body)
{
    lua_pushstring(L, http_fields_framing(body));
    if (head->content_length >= 0)
        lua_pushnumber(L, (lua_Number)head->content_length);
    else
        lua_pushnil(L);
    lua_pushboolean(L, http_fields_all_read(body));
    return 3;
}
