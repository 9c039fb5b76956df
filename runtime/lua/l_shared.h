/* SPDX-License-Identifier: MIT */
/* l_shared.h - the Lua face of memory that processes share. */
#ifndef MOONPARK_L_SHARED_H
#define MOONPARK_L_SHARED_H

#include "lua/face.h"
#include "shared/segment.h"

void l_shared_open(lua_State *L);
void l_shared_counter_open(lua_State *L);

/* What open functions return: true | nil, err, errno, or false, what is wrong with the segment. */
int l_shared_opened(lua_State *L, int r, const struct segment *s, const char *kind, lua_Number size);

/* Check all dicts, or counters, that are open; a violation ends the process. */
void l_shared_check(const struct ctx *cx);
void l_shared_counter_check(const struct ctx *cx);

#endif
