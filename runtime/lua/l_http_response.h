/* SPDX-License-Identifier: MIT */
/* l_http_response.h - the Lua face of a response: its head and its body.
 *
 * */
#ifndef MOONPARK_L_HTTP_RESPONSE_H
#define MOONPARK_L_HTTP_RESPONSE_H

#include "lua/face.h"

void l_http_response_open(lua_State *L);

#endif
