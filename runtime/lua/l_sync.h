/* SPDX-License-Identifier: MIT */
/* l_sync.h - mutex, semaphore, event. */
#ifndef MOONPARK_L_SYNC_H
#define MOONPARK_L_SYNC_H

#include "lua/face.h"

void l_sync_open(lua_State *L);

#endif
