/* SPDX-License-Identifier: MIT */
/* l_unix.h - the Lua face of what goes beyond bytes: descriptors that are passed, adopted, inherited, given away;
 * who the peer is. Adds methods to the class of connections. */
#ifndef MOONPARK_L_UNIX_H
#define MOONPARK_L_UNIX_H

#include "lua/face.h"

void l_unix_open(lua_State *L);

#endif
