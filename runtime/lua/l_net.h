/* SPDX-License-Identifier: MIT */
/* l_net.h - the Lua face that makes connections. */
#ifndef MOONPARK_L_NET_H
#define MOONPARK_L_NET_H

#include "lua/face.h"

void l_net_open(lua_State *L);

#endif
