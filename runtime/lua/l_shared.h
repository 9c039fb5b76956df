/* SPDX-License-Identifier: MIT */
/* l_shared.h - the Lua face of memory that processes share. */
#ifndef MOONPARK_L_SHARED_H
#define MOONPARK_L_SHARED_H

#include "lua/face.h"

void l_shared_open(lua_State *L);

/* Checks all dicts and counters that are open; a violation ends the process. */
void l_shared_check(const struct ctx *cx);

#endif
