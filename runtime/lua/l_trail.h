/* SPDX-License-Identifier: MIT */
/* l_trail.h - what a signal handler can tell of the Lua state that it has interrupted: tasks, where the running one is.
 *
 * Nothing in here allocates or locks. */
#ifndef MOONPARK_L_TRAIL_H
#define MOONPARK_L_TRAIL_H

#include "base/trail.h"
#include "lua/face.h"

enum { L_TRAIL_LINE = LUA_IDSIZE + 16 }; /* bytes of "file.lua:12" */

/* "task 3, started at server.lua:12" */
void l_trail_task(struct trail_text *text, const struct task *t);

/* Where it is: the C functions, as far as they have names, its last known Lua line, and, if the interpreter has called
 * a C function, the Lua functions that wait for it. line: L_TRAIL_LINE bytes, the line that was known before, "" if
 * none was; it becomes what is found now. */
void l_trail_place(struct trail_text *text, const struct task *t, char *line, size_t size);

/* Writes a line for each task that waits, as far as they can be read. */
void l_trail_tasks(struct ctx *cx);

void l_trail_write(const struct trail_text *text); /* to standard error */

#endif
