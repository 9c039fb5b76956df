/* SPDX-License-Identifier: MIT */
/* l_netpoll.h - the Lua face of netpoll: any pollable descriptor waits on the same loop. */
#ifndef MOONPARK_L_NETPOLL_H
#define MOONPARK_L_NETPOLL_H

#include "lua/face.h"

void l_netpoll_open(lua_State *L);

#endif
