/* SPDX-License-Identifier: MIT */
/* l_signal.h - the Lua face of signals. Floor 9. */
#ifndef MOONPARK_L_SIGNAL_H
#define MOONPARK_L_SIGNAL_H

#include "face.h"

void l_signal_open(lua_State *L);

#endif
