/* SPDX-License-Identifier: MIT */
/* l_http_head.h - fields, trailers and framing, as the Lua faces of server and client return them.
 *
 * Called by l_http_request and l_http_client. */
#ifndef MOONPARK_L_HTTP_HEAD_H
#define MOONPARK_L_HTTP_HEAD_H

#include "http/http_message.h"
#include "lua/face.h"

/* Pushes the head's fields: {name, value, name, value, ...}. Its spans are offsets into bytes. */
void l_http_head_push(lua_State *L, const char *bytes, const struct http_head *head);

/* The same for a trailer section that was parsed already; an empty table if there is none. */
void l_http_head_push_trailer(lua_State *L, const struct buf *trailer);

/* Pushes 3 values: "none" | "length" | "chunks" | "end"; the announced bytes or nil; whether all of it was read. */
int l_http_head_push_framing(lua_State *L, const struct http_head *head, const struct http_body *body);

#endif
