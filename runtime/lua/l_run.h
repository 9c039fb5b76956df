/* SPDX-License-Identifier: MIT */
/* l_run.h - running the loop from Lua.
 *
 * The runner finishes a woken task's operation, resumes its coroutine and looks at how it
 * came back. Errors of the loop's own Lua stack (out of memory, a finalizer of the script's) can
 * strike while results are built: they are caught here, and no coroutine is lost by them. */
#ifndef MOONPARK_L_RUN_H
#define MOONPARK_L_RUN_H

#include "lua/face.h"

void l_run_open(lua_State *L);

#endif
