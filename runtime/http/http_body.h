/* SPDX-License-Identifier: MIT */
/* http_body.h - reading the body of a message: operations of a connection that decode received bytes.
 *
 * Called by exchange and the client's Lua face. The op.length bytes found stay in the connection's `in` until they are
 * handed out; op.total bytes are to be consumed then. */
#ifndef MOONPARK_HTTP_BODY_H
#define MOONPARK_HTTP_BODY_H

#include "net/conn.h"

struct http_exchange;

enum { HTTP_TRAILERS_MAX = 8192 };

/* The parameters of reading a request's body. */
struct http_reading {
    struct http_exchange *exchange;
    size_t limit; /* the most bytes */
};

extern const struct conn_op http_body_some;  /* reads some of the body; ERR_EOF at its end */
extern const struct conn_op http_body_whole; /* reads all of a body that is framed by its length */

#endif
