/* SPDX-License-Identifier: MIT */
/* l_signal.h - the Lua face of signals: subscriptions, and the hook of the command.
 *
 * A signal goes to every open subscription that names it; without one, to the hook. */
#ifndef MOONPARK_L_SIGNAL_H
#define MOONPARK_L_SIGNAL_H

#include "lua/face.h"

/* Hands a signal to the subscriptions and wakes their waiters, without running Lua. Did one take it? */
bool l_signal_deliver(struct ctx *cx, int signo);

/* The number of the signal whose name, with or without "SIG", is at idx; raises for unknown names. */
int l_signal_number(lua_State *L, int idx);

/* Its name without "SIG", or NULL if it has none. */
const char *l_signal_name(int signo);

void l_signal_open(lua_State *L); /* adds to the module table on top */

#endif
