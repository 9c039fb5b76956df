/* SPDX-License-Identifier: MIT */
/* l_stdout.h - lines for the standard output that another face adds itself: to ctx.stdout_lines, whole and with their
 * end. */
#ifndef MOONPARK_L_STDOUT_H
#define MOONPARK_L_STDOUT_H

#include "lua/face.h"

/* A line was added; before: how many bytes there were without it. They leave before the loop blocks. */
void l_stdout_added(struct ctx *cx, size_t before);

void l_stdout_close(struct ctx *cx);
void l_stdout_open(lua_State *L);

#endif
