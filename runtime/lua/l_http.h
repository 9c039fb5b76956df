/* SPDX-License-Identifier: MIT */
/* l_http.h - the Lua face of an HTTP exchange: how a worker of a server takes requests and answers them.
 *
 * Called by l_http_server, and by l_http_request, l_http_file and l_http_forward, which add the rest of its methods. */
#ifndef MOONPARK_L_HTTP_H
#define MOONPARK_L_HTTP_H

#include "http/exchange.h"
#include "lua/face.h"
#include "lua/l_conn.h"

extern const struct http_face l_http_face;

/* The exchange at 1, where the request that the caller means (argument 2) is still the one in hand; raises. */
struct http_exchange *l_http_current(lua_State *L);

/* The exchange at 1. */
struct http_exchange *l_http_exchange(lua_State *L);

/* A new one of the running task, for the server at 1; raises without memory. */
int l_http_join(lua_State *L, struct http_server *s);

/* What every call on x's response is told once that has failed. Ends the face function. */
int l_http_failed(lua_State *L, const struct http_exchange *x);

/* What exchange_data and its like have returned: starts conn_write, or says what came of it. Ends the face function. */
int l_http_wrote(lua_State *L, struct task *t, struct http_exchange *x, int r);

/* Results of reading a body. */
l_conn_push l_http_push_body;

/* Adds methods to the class of exchanges. */
void l_http_methods(lua_State *L, const luaL_Reg *methods);

void l_http_open(lua_State *L);

#endif
