/* SPDX-License-Identifier: MIT */
/* l_fd.h - the Lua face of a descriptor that is not a connection yet, or no longer: a passed one, a detached one.
 *
 * It is an object and not a number, so that the collector closes a descriptor that a script drops. */
#ifndef MOONPARK_L_FD_H
#define MOONPARK_L_FD_H

#include "lua/face.h"

/* Pushes a closed object. Returns where to store the number, which then belongs to the object; -1: closed. */
int *l_fd_new(lua_State *L);

/* The same for the object at idx, or NULL if that is something else. */
int *l_fd_test(lua_State *L, int idx);

void l_fd_open(lua_State *L);

#endif
