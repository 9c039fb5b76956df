/* SPDX-License-Identifier: MIT */
/* l_move.h - the Lua face of moving bytes: conn:sendfile, and what net.copy splices with. */
#ifndef MOONPARK_L_MOVE_H
#define MOONPARK_L_MOVE_H

#include "lua/face.h"

/* After l_conn_open: sendfile becomes a method of connections. */
void l_move_open(lua_State *L);

#endif
