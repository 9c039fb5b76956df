/* SPDX-License-Identifier: MIT */
/* l_slots.h - where tasks run: each slot has the memory of a task and, mostly, a coroutine.
 *
 * Called by l_task. Slots are never freed, like pollDescs; coroutines are, beyond limits.idle_threads. */
#ifndef MOONPARK_L_SLOTS_H
#define MOONPARK_L_SLOTS_H

#include "lua/face.h"

/* Returns a slot with a coroutine. Raises if there is no memory, with nothing taken. */
uint32_t l_slots_take(lua_State *L, struct ctx *cx);

/* Gives t's slot back, with its coroutine if `reuse` says so and there are not too many. */
void l_slots_leave(lua_State *L, struct ctx *cx, struct task *t, bool reuse);

/* Makes room for n values on a coroutine that does not run yet. Raises, on L. */
void l_slots_reserve(lua_State *L, lua_State *co, int n);

void l_slots_open(lua_State *L); /* makes what the anchors need */

#endif
