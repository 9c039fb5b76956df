/* SPDX-License-Identifier: MIT */
/* l_watch.h - the Lua face of watches: a connection that brings records, and what is in one. */
#ifndef MOONPARK_L_WATCH_H
#define MOONPARK_L_WATCH_H

#include "lua/face.h"

void l_watch_open(lua_State *L);

#endif
