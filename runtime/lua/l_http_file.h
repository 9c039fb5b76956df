/* SPDX-License-Identifier: MIT */
/* l_http_file.h - files as bodies of responses: opening them, and sending them on an exchange. */
#ifndef MOONPARK_L_HTTP_FILE_H
#define MOONPARK_L_HTTP_FILE_H

#include "lua/face.h"

void l_http_file_open(lua_State *L);

#endif
