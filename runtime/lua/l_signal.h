/* SPDX-License-Identifier: MIT */
/* l_signal.h - the Lua face of signals: subscriptions, and the hook of the command.
 *
 * A signal goes to every open subscription that names it; where there is none, to the hook. */
#ifndef MOONPARK_L_SIGNAL_H
#define MOONPARK_L_SIGNAL_H

#include "lua/face.h"

/* Hands a signal to the subscriptions, without Lua: whose waiter is parked is woken. Is it theirs? */
bool l_signal_deliver(struct ctx *cx, int signo);

/* The number of the signal whose name is at idx, with "SIG" or without; raises for others. */
int l_signal_number(lua_State *L, int idx);

/* Its name without "SIG", or NULL for one that has none. */
const char *l_signal_name(int signo);

void l_signal_open(lua_State *L); /* adds to the module table on top */

#endif
