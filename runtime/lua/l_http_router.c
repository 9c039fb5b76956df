/* SPDX-License-Identifier: MIT */
/* l_http_router.c - the Lua face of routers: http/router.lua reads the patterns and holds the handlers.
 *
 * Pushing a string may run a finalizer, which may use the same router: so what is in the router's memory is copied
 * first. */
#include "lua/faces.h"

#include "http/http_form.h"
#include "http/http_router.h"
#include "lua/l_http.h"

#include <errno.h>
#include <string.h>

static const char router_mark = 0;

struct router_face {
    const void *mark;
    struct http_router router;
};

static struct http_router *router(lua_State *L)
{
    struct router_face *f = face_self(L, 1, &router_mark, sizeof *f, "HTTP router");
    return &f->router;
}

/* http_router() -> router */
static int l_router(lua_State *L)
{
    struct router_face *f = face_new(L, FACE_META_HTTP_ROUTER, sizeof *f);
    http_router_init(&f->router);
    f->mark = &router_mark;
    return 1;
}

static int l_gc(lua_State *L)
{
    struct router_face *f = face_test(L, 1, &router_mark, sizeof *f);
    if (f)
        http_router_fini(&f->router);
    return 0;
}

static int not_enough_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

/* node(parent, "literal" | "parameter" | "catch_all", text) -> the node to which that segment leads; the root is 0 */
static int l_node(lua_State *L)
{
    static const char *const kinds[] = {[HTTP_ROUTE_LITERAL] = "literal", [HTTP_ROUTE_PARAMETER] = "parameter",
                                        [HTTP_ROUTE_CATCH_ALL] = "catch_all", NULL};
    struct http_router *r = router(L);
    lua_Number parent = face_number(L, 2);
    int kind = luaL_checkoption(L, 3, NULL, kinds);
    luaL_argcheck(L, parent == 0 || (parent > 0 && parent < r->node_count), 2, "a node expected");
    int node = http_router_node(r, (uint32_t)parent, (enum http_route_kind)kind, l_http_text(L, 4));
    if (node < 0)
        return not_enough_memory(L);
    lua_pushinteger(L, node);
    return 1;
}

/* add(node, method) -> route | nil: there is one already */
static int l_add(lua_State *L)
{
    struct http_router *r = router(L);
    lua_Number node = face_number(L, 2);
    luaL_argcheck(L, node >= 0 && node < r->node_count, 2, "a node expected");
    int route = http_router_add(r, (uint32_t)node, l_http_text(L, 3));
    if (route == HTTP_ROUTE_TAKEN)
        return 0;
    if (route < 0)
        return not_enough_memory(L);
    lua_pushinteger(L, route);
    return 1;
}

/* match(method, path) -> route | nil | false: not a valid path. A route with one or two parameters is followed by their
 * values if nothing in the path is encoded: most requests need no second call. */
static int l_match(lua_State *L)
{
    struct http_router *r = router(L);
    struct http_text values[2];
    int route = http_router_match(r, l_http_text(L, 2), l_http_text(L, 3));
    if (route == -ENOMEM)
        return not_enough_memory(L);
    if (route > 0) {
        uint32_t n = http_router_matched(r, (uint32_t)route, values, ARRAY_LEN(values));
        lua_pushinteger(L, route);
        for (uint32_t i = 0; i < n; i++)
            lua_pushlstring(L, values[i].at, values[i].length);
        return 1 + (int)n;
    }
    if (route == HTTP_ROUTE_NONE)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 0);
    return 1;
}

/* fitting(path) -> {route, ...}: for any method */
static int l_fitting(lua_State *L)
{
    struct http_router *r = router(L);
    struct http_text path = l_http_text(L, 2);
    uint32_t *routes = lua_newuserdata(L, (http_router_routes(r) + 1) * sizeof *routes);
    int count = http_router_fitting(r, path, routes);
    if (count == -ENOMEM)
        return not_enough_memory(L);
    lua_newtable(L);
    for (int i = 0; i < count; i++) {
        lua_pushinteger(L, (lua_Integer)routes[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* Moves decoded values into a copy, which the stack keeps alive. */
static void move_values(struct http_text *values, uint32_t n, struct http_text from, char *to)
{
    memcpy(to, from.at, from.length);
    for (uint32_t i = 0; i < n; i++)
        values[i].at = to + (values[i].at - from.at);
}

/* params(route, names, path) -> {[name] = value, ...}: of a path that led to that route */
static int l_params(lua_State *L)
{
    struct http_router *r = router(L);
    lua_Number route = face_number(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    struct http_text path = l_http_text(L, 4), some[16], *values = some;
    luaL_argcheck(L, route >= 1 && route <= http_router_routes(r), 2, "a route expected");
    uint32_t n = http_router_parameters(r, (uint32_t)route);
    if (n > ARRAY_LEN(some))
        values = lua_newuserdata(L, n * sizeof *values);
    char *copy = http_form_is_encoded(path, false) ? lua_newuserdata(L, path.length) : NULL;
    int e = http_router_values(r, (uint32_t)route, path, values);
    if (e == 0 && copy)
        move_values(values, n, r->path.all, copy);
    if (e == -ENOMEM)
        return not_enough_memory(L);
    lua_createtable(L, 0, (int)n);
    for (uint32_t i = 0; e == 0 && i < n; i++) {
        lua_rawgeti(L, 3, (int)i + 1);
        lua_pushlstring(L, values[i].at, values[i].length);
        lua_rawset(L, -3);
    }
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},       {"add", l_add},   {"fitting", l_fitting}, {"match", l_match},
    {"node", l_node},     {"params", l_params}, {NULL, NULL},
};
static const luaL_Reg functions[] = {{"http_router", l_router}, {NULL, NULL}};

void l_http_router_open(lua_State *L)
{
    face_class(L, FACE_META_HTTP_ROUTER, "moonpark.http.router", methods);
    face_functions(L, functions);
}
