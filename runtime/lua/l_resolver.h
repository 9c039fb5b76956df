/* SPDX-License-Identifier: MIT */
/* l_resolver.h - names to addresses: resolve, set_resolver. */
#ifndef MOONPARK_L_RESOLVER_H
#define MOONPARK_L_RESOLVER_H

#include "lua/face.h"

void l_resolver_open(lua_State *L);

#endif
