/* SPDX-License-Identifier: MIT */
/* l_http_server.h - the Lua face of HTTP servers: opening, the keeper's news, counts, closing.
 *
 * */
#ifndef MOONPARK_L_HTTP_SERVER_H
#define MOONPARK_L_HTTP_SERVER_H

#include "lua/face.h"

void l_http_server_open(lua_State *L);

#endif
