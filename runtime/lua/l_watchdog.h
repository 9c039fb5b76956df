/* SPDX-License-Identifier: MIT */
/* l_watchdog.h - stops Lua code that computes without end: for tests, the prompt, and output that nobody reads.
 *
 * */
#ifndef MOONPARK_L_WATCHDOG_H
#define MOONPARK_L_WATCHDOG_H

#include "lua/face.h"

void l_watchdog_open(lua_State *L);

#endif
