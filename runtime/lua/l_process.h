/* SPDX-License-Identifier: MIT */
/* l_process.h - the Lua face of child processes.
 *
 * A process is a userdata around struct child, which ends with its Lua state; lua/moonpark/process.lua keeps
 * each by a task that waits for its end. What a script has is another userdata, with the streams. */
#ifndef MOONPARK_L_PROCESS_H
#define MOONPARK_L_PROCESS_H

#include "lua/face.h"

void l_process_open(lua_State *L); /* adds to the module table on top */

#endif
