/* SPDX-License-Identifier: MIT */
/* l_process.h - the Lua face of child processes.
 *
 * Floor 10. A process is a userdata around struct child, which ends with its Lua state; lua/moonpark/process.lua keeps
 * each by a task that waits for its end. What a script has is another userdata, with the streams. */
#ifndef MOONPARK_L_PROCESS_H
#define MOONPARK_L_PROCESS_H

#include "face.h"

/* A signal has come: SIGCHLD may be of a detached one, which nobody but us can reap. */
void l_process_signaled(struct ctx *cx, int signo);

/* The Lua state is being closed: what is known of detached ones goes, they themselves go on. */
void l_process_close(struct ctx *cx);

void l_process_open(lua_State *L); /* adds to the module table on top */

#endif
