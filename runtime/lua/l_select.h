/* SPDX-License-Identifier: MIT */
/* l_select.h - waiting for the first of several things. */
#ifndef MOONPARK_L_SELECT_H
#define MOONPARK_L_SELECT_H

#include "lua/face.h"

void l_select_open(lua_State *L);

#endif
