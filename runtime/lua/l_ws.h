/* SPDX-License-Identifier: MIT */
/* l_ws.h - the Lua face of WebSockets; l_ws_group adds groups of them. */
#ifndef MOONPARK_L_WS_H
#define MOONPARK_L_WS_H

#include "lua/face.h"
#include "ws/ws_socket.h"

/* The WebSocket at idx; raises on others. */
struct ws_socket *l_ws_socket(lua_State *L, int idx);

/* Raises unless argument 2, n bytes, is UTF-8. */
void l_ws_check_text(lua_State *L, const char *bytes, size_t n);

void l_ws_open(lua_State *L);

#endif
