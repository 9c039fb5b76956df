/* SPDX-License-Identifier: MIT */
/* l_http.h - the Lua face of an HTTP exchange: a server's worker takes requests and answers them.
 *
 * Called by l_http_server, and by l_http_request, l_http_file and l_http_forward, which add the rest of its methods. */
#ifndef MOONPARK_L_HTTP_H
#define MOONPARK_L_HTTP_H

#include "http/exchange.h"
#include "lua/face.h"
#include "lua/l_conn.h"

extern const struct http_face l_http_face;

/* The exchange at 1; raises unless its current request is the one whose serial number is argument 2. */
struct http_exchange *l_http_current(lua_State *L);

/* Adds the fields of the flat table at idx to the head that x has begun: name, value, name, value, ... All are strings.
 * Returns 0 or -ENOMEM; for one that cannot be sent it takes the head back, and raises. */
int l_http_add_fields(lua_State *L, int idx, struct http_exchange *x);

/* The exchange at 1. */
struct http_exchange *l_http_exchange(lua_State *L);

/* Pushes a new exchange of the running task, for the server at 1; raises if there is no memory. */
int l_http_join(lua_State *L, struct http_server *s);

/* Ends a face function with the error that every call returns once x's response has failed. */
int l_http_failed(lua_State *L, const struct http_exchange *x);

/* Ends a face function with the result r of exchange_data and the like: starts conn_write, or pushes the outcome. */
int l_http_wrote(lua_State *L, struct task *t, struct http_exchange *x, int r);

/* Pushes the results of reading a body. */
l_conn_push l_http_push_body;

/* Adds methods to the class of exchanges. */
void l_http_methods(lua_State *L, const luaL_Reg *methods);

void l_http_open(lua_State *L);

/* The string at idx; raises if it is none. */
struct http_text l_http_text(lua_State *L, int idx);

#endif
