/* SPDX-License-Identifier: MIT */
/* http_body.h - reading the body of a message: operations of a connection that find some of it in what was received.
 *
 * Called by exchange and the client's Lua face. The bytes found are op.length ones of the connection's `in`; they stay
 * there until they were handed out, and op.total is to be consumed then. */
#ifndef MOONPARK_HTTP_BODY_H
#define MOONPARK_HTTP_BODY_H

#include "net/conn.h"

struct http_exchange;

enum { HTTP_TRAILERS_MAX = 8192 };

/* Of reading the body of a request. */
struct http_reading {
    struct http_exchange *exchange;
    size_t limit; /* bytes, at most */
};

extern const struct conn_op http_body_some;  /* some; ERR_EOF at the end of the body */
extern const struct conn_op http_body_whole; /* a body framed by its length, all of it */

#endif
