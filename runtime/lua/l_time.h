/* SPDX-License-Identifier: MIT */
/* l_time.h - now, time, and the virtual clock. */
#ifndef MOONPARK_L_TIME_H
#define MOONPARK_L_TIME_H

#include "lua/face.h"

void l_time_open(lua_State *L);

#endif
