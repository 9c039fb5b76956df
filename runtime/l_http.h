/* SPDX-License-Identifier: MIT */
/* l_http.h - the Lua face of the HTTP server: servers, and the exchanges of workers. Floor 10. */
#ifndef MOONPARK_L_HTTP_H
#define MOONPARK_L_HTTP_H

#include "face.h"

void l_http_open(lua_State *L);

#endif
