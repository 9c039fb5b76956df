/* SPDX-License-Identifier: MIT */
/* l_http_client.h - the Lua face of HTTP clients: heads of requests as text, and readers of responses.
 *
 * A reader belongs to a connection in a pool of lua/moonpark/http/pool.lua, and is reused with it. */
#ifndef MOONPARK_L_HTTP_CLIENT_H
#define MOONPARK_L_HTTP_CLIENT_H

#include "http/http_client.h"
#include "lua/face.h"

/* The reader at idx; raises on others. */
struct http_reader *l_http_reader(lua_State *L, int idx);

void l_http_client_open(lua_State *L);

#endif
