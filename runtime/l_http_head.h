/* SPDX-License-Identifier: MIT */
/* l_http_head.h - fields as the Lua faces of server and client hand them out.
 *
 * Floor 9; called by l_http_request and l_http_client. */
#ifndef MOONPARK_L_HTTP_HEAD_H
#define MOONPARK_L_HTTP_HEAD_H

#include "face.h"
#include "http_parse.h"

/* Pushes {name, value, name, value, ...} of the head whose spans are of bytes. */
void l_http_head_push(lua_State *L, const char *bytes, const struct http_head *head);

#endif
