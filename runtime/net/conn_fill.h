/* SPDX-License-Identifier: MIT */
/* conn_fill.h - reads for protocols: bytes stay in `in`, where the face looks at them, or go straight to their place.
 *
 * Conn's frame holds the read side for them. */
#ifndef MOONPARK_CONN_FILL_H
#define MOONPARK_CONN_FILL_H

#include "net/conn.h"

/* The default limits of conn_fill and of conn_unpack, in bytes. */
enum { CONN_FILL_MAX = 67108864, CONN_UNPACK_MAX = 65536 };

/* Of conn_fill: until n bytes are in `in`; ERR_TOO_LONG if that is more than the limit. */
struct conn_filling {
    size_t n, limit;
};

/* Of conn_unpack: until all values of the format are there, in at most `limit` bytes. Gives op.total to consume. */
struct conn_unpacking {
    const char *format; /* has been checked */
    size_t format_length, limit;
    size_t needed; /* bytes, before it is worth another look; 0 at first */
};

/* Of conn_read_into: at least so many of op.length bytes, to that place. */
struct conn_placing {
    char *to;
    size_t least;
};

/* conn_skip drops op.length bytes. It and conn_read_into count what they have taken in op.total, which they begin with
 * 0: also if they fail, that much is gone from the stream. */
extern const struct conn_op conn_fill, conn_unpack, conn_skip, conn_read_into;

#endif
