/* SPDX-License-Identifier: MIT */
/* http_client.h - reading the response to an HTTP request on a connection of a script's.
 *
 * Called by the Lua face, which owns the reader and keeps it alive meanwhile. The steps
 * of the body are in http_conn.c, beside the server's. */
#ifndef MOONPARK_HTTP_CLIENT_H
#define MOONPARK_HTTP_CLIENT_H

#include "http/h1_frame.h"
#include "net/conn.h"

/* One response; used again for the next one on the same connection. */
struct http_reader {
    struct buf bytes;      /* the head's */
    struct buf trailer;    /* its trailer section's, where there is one */
    struct http_head head; /* spans of bytes */
    struct http_body body;
    size_t searched;       /* of the connection's `in`: no end of a head is in there */
    size_t limit;          /* bytes of a head */
    uint16_t interim;      /* responses that were skipped: 100 Continue, 103 Early Hints, ... */
    bool to_head;          /* the request is a HEAD */
    bool continues;        /* who calls waits for 100 Continue, and is told of it */
    bool relays;           /* who calls passes interim responses on, and is told of each */
};

/* The next response is that to another request. */
void http_client_begin(struct http_reader *r, bool to_head, size_t limit);
void http_client_fini(struct http_reader *r);

/* Of reading a response. */
struct http_receiving {
    struct http_reader *reader;
    size_t limit; /* bytes of a body, at most */
};

/* Interim responses are skipped, but for 101 and those that are wanted. ERR_EOF: the connection ended before the first
 * byte. ERR_MALFORMED, ERR_TOO_LONG, ERR_UNEXPECTED_EOF. */
extern const struct conn_op http_client_head;

/* As the server's, see http_conn.h. */
extern const struct conn_op http_client_body, http_client_whole;

/* Was all of the response read, and may another request follow it? */
bool http_client_reusable(const struct http_reader *r, const struct conn *c);

/* May a request be sent on a connection that was idle: has nothing come, not even its end? sure: the kernel is asked;
 * else, where the last read has left nothing, what the last poll has reported will do, and a request that can be
 * repeated. */
bool http_client_quiet(struct conn *c, bool sure);

#endif
