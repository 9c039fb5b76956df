/* SPDX-License-Identifier: MIT */
/* l_http_head.c - names are made lower case as they are pushed: so scripts compare strings and nothing else. */
#include "l_http_head.h"

static void push_lower(lua_State *L, const char *name, size_t n)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++)
        luaL_addchar(&b, (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]));
    luaL_pushresult(&b);
}

void l_http_head_push(lua_State *L, const char *bytes, const struct http_head *head)
{
    lua_createtable(L, 2 * head->count, 0);
    for (int i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];
        push_lower(L, bytes + f->name.at, f->name.length);
        lua_rawseti(L, -2, 2 * i + 1);
        lua_pushlstring(L, bytes + f->value.at, f->value.length);
        lua_rawseti(L, -2, 2 * i + 2);
    }
}
