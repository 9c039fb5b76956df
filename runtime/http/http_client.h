/* SPDX-License-Identifier: MIT */
/* http_client.h - the client's side of an HTTP exchange, on a connection of a script: writing a request and reading its
 * response. Independent of the protocol: see client_wire.h.
 *
 * Called by forward_request, forward_response and the Lua faces, which own the reader and keep it alive meanwhile. The
 * steps that read a body are in http_body.c, with the server's. */
#ifndef MOONPARK_HTTP_CLIENT_H
#define MOONPARK_HTTP_CLIENT_H

#include "http/http_message.h"
#include "net/conn.h"
#include "net/conn_write.h"

struct client_wire;

enum { HTTP_LENGTH_NONE = -1, HTTP_LENGTH_UNKNOWN = -2 }; /* of a request's body: there is none; it ends when it ends */

/* How much of a request's body was sent. */
struct http_sent {
    int64_t length; /* of the whole body, or one of the above */
    uint64_t left;  /* if the length is known: bytes still owed */
};

/* What surrounds the piece of a request's body that is being sent: the request's head, and framing. */
struct http_around {
    struct http_text head;
    struct buf before;
    struct http_text after;
};

/* One exchange; used again for the next one on the same connection. */
struct http_reader {
    const struct client_wire *wire;
    struct buf bytes;      /* of a head: the response's, or the one of the request being written */
    struct buf trailer;    /* the bytes of the response's trailer section, if any; in a request: see forward_request */
    struct http_sent sent;
    struct http_around around;
    struct http_head head; /* of the response: spans of bytes */
    struct http_body body;
    size_t searched;       /* bytes of the connection's `in` that hold no end of a head */
    size_t limit;          /* the most bytes of a head */
    uint16_t interim;      /* responses that were skipped: 100 Continue, 103 Early Hints, ... */
    bool to_head;          /* the request is a HEAD */
    bool continues;        /* the caller waits for 100 Continue: return it */
    bool relays;           /* the caller forwards interim responses: return each one */
};

/* r is zeroed. */
void http_client_init(struct http_reader *r);
void http_client_fini(struct http_reader *r);

/* ---- a request's head: it stays in `bytes` until another one or a response begins ---- */

/* The start of a request. Its target is prefix, path and query, concatenated. */
struct http_start {
    struct http_text method, prefix, path, query;
    bool has_query;
};

/* What is written after the caller's fields. */
struct http_ending {
    int64_t length;             /* bytes of its body, or HTTP_LENGTH_NONE, HTTP_LENGTH_UNKNOWN */
    struct http_text protocols; /* to upgrade to, separated by commas; empty: none */
    bool expect;                /* the body waits for 100 Continue */
    bool last;                  /* no other request follows */
};

/* What must not be sent, because some server or proxy could read it as two requests. */
enum http_wrong { HTTP_WRONG_METHOD = 1, HTTP_WRONG_TARGET, HTTP_WRONG_NAME, HTTP_WRONG_VALUE };

/* 0, an http_wrong, or -ENOMEM. */
int http_client_start(struct http_reader *r, const struct http_start *start);
int http_client_field(struct http_reader *r, struct http_text name, struct http_text value);
int http_client_end(struct http_reader *r, const struct http_ending *ending);

/* ---- the request on its way ---- */

/* The parameters of sending some of a request; see conn_write. */
struct http_sending {
    struct conn_writing writing;
    struct http_reader *reader;
    struct http_text data; /* sent inside reader->around */
};

/* Call before sending a request with a body of that length. */
void http_client_sends(struct http_reader *r, int64_t length);

/* Prepares t for conn_write, to send the head (unless it is empty) and some of the body. Both must outlive the
 * operation. 0; HTTP_TOO_LONG: more than was announced; -ENOMEM. */
int http_client_send(struct http_reader *r, struct task *t, struct http_text head, struct http_text data);

/* The same for the end of a body. 0; HTTP_TOO_SHORT; -ENOMEM. op.length is 0 if there is nothing to send. */
int http_client_finish(struct http_reader *r, struct task *t);

/* ---- the response ---- */

/* Prepares r for the response to another request. */
void http_client_begin(struct http_reader *r, bool to_head, size_t limit);

/* The parameters of reading a response. */
struct http_receiving {
    struct http_reader *reader;
    size_t limit; /* the most bytes of a body */
};

/* Reads a head. Skips interim responses, except for 101 and those that the caller wants. ERR_EOF: the connection ended
 * before the first byte. ERR_MALFORMED, ERR_TOO_LONG, ERR_UNEXPECTED_EOF. */
const struct conn_op *http_client_head(const struct http_reader *r);

/* Read some of the body, or all of a body whose length is known. Like the server's, see http_body.h. */
const struct conn_op *http_client_some(const struct http_reader *r);
const struct conn_op *http_client_all(const struct http_reader *r);

/* Is the length of the body known? */
bool http_client_has_length(const struct http_reader *r);

/* The same two operations, for HTTP/1. */
extern const struct conn_op http_client_body, http_client_whole;

/* Was the whole response read, and may another request follow it? */
bool http_client_reusable(const struct http_reader *r, const struct conn *c);

/* May a request be sent on a connection that was idle, that is: has nothing arrived on it, not even its end? sure: asks
 * the kernel. Otherwise, if the last read left nothing, the events of the last poll decide; that is good enough for a
 * request that can be repeated. */
bool http_client_quiet(struct conn *c, bool sure);

#endif
