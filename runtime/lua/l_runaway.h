/* SPDX-License-Identifier: MIT */
/* l_runaway.h - tasks that do not wait; see l_runaway.c. */
#ifndef MOONPARK_L_RUNAWAY_H
#define MOONPARK_L_RUNAWAY_H

#include "lua/face.h"

void l_runaway_open(lua_State *L);

/* Ends it, if it is cx's: the Lua state is being closed. */
void l_runaway_close(const struct ctx *cx);

#endif
