/* SPDX-License-Identifier: MIT */
/* l_fd.h - the Lua face of a descriptor that is no connection yet, or no longer: a passed one, a detached one.
 *
 * An object and not a number, so that what a script drops is closed by the collector. */
#ifndef MOONPARK_L_FD_H
#define MOONPARK_L_FD_H

#include "lua/face.h"

/* Pushes a closed one. Where its number goes, which is then its own; -1: closed. */
int *l_fd_new(lua_State *L);

/* The same of the one at idx, or NULL where that is something else. */
int *l_fd_test(lua_State *L, int idx);

void l_fd_open(lua_State *L);

#endif
