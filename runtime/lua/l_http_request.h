/* SPDX-License-Identifier: MIT */
/* l_http_request.h - the Lua face of a request: its head and its body.
 *
 * */
#ifndef MOONPARK_L_HTTP_REQUEST_H
#define MOONPARK_L_HTTP_REQUEST_H

#include "lua/face.h"

void l_http_request_open(lua_State *L);

#endif
