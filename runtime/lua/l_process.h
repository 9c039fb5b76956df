/* SPDX-License-Identifier: MIT */
/* l_process.h - the Lua face of child processes.
 *
 * A process is a userdata around struct child, and ends with its Lua state; in lua/moonpark/process.lua a keeper task
 * holds each one and waits for its end. A script has another userdata, with the streams. */
#ifndef MOONPARK_L_PROCESS_H
#define MOONPARK_L_PROCESS_H

#include "lua/face.h"

void l_process_open(lua_State *L); /* adds to the module table on top */

#endif
