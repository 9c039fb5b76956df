/* SPDX-License-Identifier: MIT */
/* l_http_head.h - fields, trailers and framing as the Lua faces of server and client hand them out.
 *
 * Called by l_http_request and l_http_client. */
#ifndef MOONPARK_L_HTTP_HEAD_H
#define MOONPARK_L_HTTP_HEAD_H

#include "http/http_message.h"
#include "lua/face.h"

/* Pushes {name, value, name, value, ...} of the head whose spans are of bytes. */
void l_http_head_push(lua_State *L, const char *bytes, const struct http_head *head);

/* The same of a trailer section that was parsed already; of none, an empty table. */
void l_http_head_push_trailer(lua_State *L, const struct buf *trailer);

/* "none" | "length" | "chunks" | "end", bytes announced | nil, is all of it read: 3. */
int l_http_head_push_framing(lua_State *L, const struct http_head *head, const struct http_body *body);

#endif
