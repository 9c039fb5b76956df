/* SPDX-License-Identifier: MIT */
/* l_interrupt.h - makes compiled code leave for the interpreter, where debug hooks are met. */
#ifndef MOONPARK_L_INTERRUPT_H
#define MOONPARK_L_INTERRUPT_H

#include "lua/face.h"

enum l_interrupt_user { L_INTERRUPT_LIMITS = 1, L_INTERRUPT_TESTS = 2 };

/* From now on compiled code can be interrupted; what was compiled is compiled again. Harmless twice. */
void l_interrupt_use(lua_State *L, enum l_interrupt_user user);

/* Ends that, if nobody else uses it. */
void l_interrupt_end(lua_State *L, enum l_interrupt_user user);

/* A script profiles, and has LuaJIT's profiler for itself; it has stopped. */
void l_interrupt_lend(lua_State *L);
void l_interrupt_take_back(lua_State *L);

/* In a signal handler: compiled code that runs now goes on in the interpreter, soon. */
void l_interrupt_now(void);

/* The Lua state is being closed; LuaJIT has stopped its profiler already. */
void l_interrupt_close(const struct ctx *cx);

#endif
