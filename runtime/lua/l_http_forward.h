/* SPDX-License-Identifier: MIT */
/* l_http_forward.h - the Lua face of a reverse proxy: heads go from one side to the other without becoming tables.
 *
 * Bodies, pools and errors are lua/moonpark/http/proxy.lua's. */
#ifndef MOONPARK_L_HTTP_FORWARD_H
#define MOONPARK_L_HTTP_FORWARD_H

#include <lua.h>

void l_http_forward_open(lua_State *L);

#endif
