/* SPDX-License-Identifier: MIT */
/* http_client.h - the client's side of an HTTP exchange, on a connection of a script's: a request that is written, and
 * the response that is read. It knows no wire: see client_wire.h.
 *
 * Called by forward_request, forward_response and the Lua faces, which own the reader and keep it alive meanwhile. The
 * steps of reading a body are in http_body.c, beside the server's. */
#ifndef MOONPARK_HTTP_CLIENT_H
#define MOONPARK_HTTP_CLIENT_H

#include "http/http_message.h"
#include "net/conn.h"
#include "net/conn_write.h"

struct client_wire;

enum { HTTP_LENGTH_NONE = -1, HTTP_LENGTH_UNKNOWN = -2 }; /* of a request's body: there is none; it ends when it ends */

/* How much of a request's body was sent. */
struct http_sent {
    int64_t length; /* of all of it, or one of the above */
    uint64_t left;  /* of a known length: bytes still owed */
};

/* What stands around the piece of a request's body that is being sent: the request's head, and frames. */
struct http_around {
    struct http_text head;
    struct buf before;
    struct http_text after;
};

/* One exchange; used again for the next one on the same connection. */
struct http_reader {
    const struct client_wire *wire;
    struct buf bytes;      /* a head's: the response's, or that of a request which is being written */
    struct buf trailer;    /* the response's trailer section's, if it has one; of a request: see forward_request */
    struct http_sent sent;
    struct http_around around;
    struct http_head head; /* of the response: spans of bytes */
    struct http_body body;
    size_t searched;       /* of the connection's `in`: no end of a head is in there */
    size_t limit;          /* bytes of a head */
    uint16_t interim;      /* responses that were skipped: 100 Continue, 103 Early Hints, ... */
    bool to_head;          /* the request is a HEAD */
    bool continues;        /* the caller waits for 100 Continue, and is told of it */
    bool relays;           /* the caller passes interim responses on, and is told of each */
};

/* r is zeroed. */
void http_client_init(struct http_reader *r);
void http_client_fini(struct http_reader *r);

/* ---- a request's head: it lies in bytes, until another one or a response begins ---- */

/* What a request begins with. Its target is prefix, path and query, one after the other. */
struct http_start {
    struct http_text method, prefix, path, query;
    bool has_query;
};

/* What is said of it after its fields. */
struct http_ending {
    int64_t length;             /* bytes of its body, or HTTP_LENGTH_NONE, HTTP_LENGTH_UNKNOWN */
    struct http_text protocols; /* that it would go on with, separated by commas; empty: none */
    bool expect;                /* the body waits for 100 Continue */
    bool last;                  /* no other request follows */
};

/* What must not be sent, since it would be two requests to somebody on the way. */
enum http_wrong { HTTP_WRONG_METHOD = 1, HTTP_WRONG_TARGET, HTTP_WRONG_NAME, HTTP_WRONG_VALUE };

/* 0, an http_wrong, or -ENOMEM. */
int http_client_start(struct http_reader *r, const struct http_start *start);
int http_client_field(struct http_reader *r, struct http_text name, struct http_text value);
int http_client_end(struct http_reader *r, const struct http_ending *ending);

/* ---- the request on its way ---- */

/* Of sending some of a request; see conn_write. */
struct http_sending {
    struct conn_writing writing;
    struct http_reader *reader;
    struct http_text data; /* reader->around stands around it */
};

/* A request with a body of that length begins: nothing of it was sent. */
void http_client_sends(struct http_reader *r, int64_t length);

/* Prepares t for conn_write: it sends the head, unless that is empty, and some of the body. Both must outlive the
 * operation. 0; HTTP_TOO_LONG: that is more than was announced; -ENOMEM. */
int http_client_send(struct http_reader *r, struct task *t, struct http_text head, struct http_text data);

/* The same of the end of a body. 0; HTTP_TOO_SHORT; -ENOMEM. op.length is 0 where nothing need be sent. */
int http_client_finish(struct http_reader *r, struct task *t);

/* ---- the response ---- */

/* The next response is the one to another request. */
void http_client_begin(struct http_reader *r, bool to_head, size_t limit);

/* Of reading a response. */
struct http_receiving {
    struct http_reader *reader;
    size_t limit; /* bytes of a body, at most */
};

/* Reads a head. Interim responses are skipped, but for 101 and those that are wanted. ERR_EOF: the connection ended
 * before the first byte. ERR_MALFORMED, ERR_TOO_LONG, ERR_UNEXPECTED_EOF. */
const struct conn_op *http_client_head(const struct http_reader *r);

/* Read some of the body, and all of one whose length is known. As the server's, see http_body.h. */
const struct conn_op *http_client_some(const struct http_reader *r);
const struct conn_op *http_client_all(const struct http_reader *r);

/* Is the length of the body known? */
bool http_client_has_length(const struct http_reader *r);

/* These, of HTTP/1. */
extern const struct conn_op http_client_body, http_client_whole;

/* Was all of the response read, and may another request follow it? */
bool http_client_reusable(const struct http_reader *r, const struct conn *c);

/* May a request be sent on a connection that was idle: has nothing come, not even its end? sure: the kernel is asked;
 * else, where the last read has left nothing, what the last poll has reported will do, and a request that can be
 * repeated. */
bool http_client_quiet(struct conn *c, bool sure);

#endif
