/* SPDX-License-Identifier: MIT */
/* l_init.c - the command's first call. */
#include "lua/faces.h"

#include "process/init.h"

/* process_init() -> true | nil, err, errno: in process 1 it returns in a child, which is the program from now on.
 * Before the loop's first use. */
static int l_init(lua_State *L) { return face_result(L, init_start()); }

static const luaL_Reg functions[] = {{"process_init", l_init}, {NULL, NULL}};

void l_init_open(lua_State *L) { face_functions(L, functions); }
