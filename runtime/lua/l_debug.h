/* SPDX-License-Identifier: MIT */
/* l_debug.h - what reports are made from: tasks, connections, counts; and the hard build's switches. */
#ifndef MOONPARK_L_DEBUG_H
#define MOONPARK_L_DEBUG_H

#include "lua/face.h"

void l_debug_open(lua_State *L);

#endif
