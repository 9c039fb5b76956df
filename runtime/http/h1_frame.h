/* SPDX-License-Identifier: MIT */
/* h1_frame.h - HTTP/1 framing, RFC 9112 6 and 9: what body follows a head, where it ends, and whether the connection
 * goes on after it. Tables of states without socket and without Lua.
 *
 * Called by h1_client, h1_exchange, http_body, http_conn, http_fields and forward_response. Bytes come and go through
 * the caller's buffers. */
#ifndef MOONPARK_H1_FRAME_H
#define MOONPARK_H1_FRAME_H

#include "base/buf.h"
#include "http/h1_parse.h"

/* ---- a body that is read ---- */

enum http_framing {
    HTTP_NO_BODY,
    HTTP_BY_LENGTH,
    HTTP_BY_CHUNKS,
    HTTP_BY_END,    /* of the connection: responses only */
};

struct http_body {
    uint8_t framing;      /* enum http_framing */
    bool over;            /* all of it was taken */
    bool trailing;        /* the trailer section is next */
    bool folds;           /* whose fields may be folded: it is a response's */
    bool held;            /* bytes were taken, and it is not certain yet that somebody has got them */
    int failure;          /* why the rest will never come; 0: nothing is wrong with it */
    uint64_t left;        /* by length */
    uint64_t total;       /* bytes of data so far */
    struct http_chunks chunks;
};

void h1_request_body(struct http_body *b, const struct http_head *h);
void h1_response_body(struct http_body *b, const struct http_head *h, bool to_head);

enum http_step { HTTP_NEED, HTTP_BYTES, HTTP_TRAILER_NEXT, HTTP_OVER };

/* Takes some of the n bytes; *used says how many, data where there are bytes of the body among them (HTTP_BYTES).
 * HTTP_NEED: all were taken, and there is more to come. HTTP_TRAILER_NEXT: h1_parse_trailers is to read what
 * follows, then h1_trailer_taken. HTTP_OVER: nothing more belongs to it. Or an http_error. */
int h1_take(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data);
void h1_trailer_taken(struct http_body *b);

/* ---- a message that is written ---- */

enum http_phase { HTTP_UNSENT, HTTP_IN_BODY, HTTP_SENT };

struct http_out {
    uint8_t phase;     /* enum http_phase */
    uint8_t framing;   /* enum http_framing */
    bool mute;         /* the answer to a HEAD, 204, 205, 304: a head, but no body whatever is written */
    bool keep_alive;   /* the connection goes on behind it */
    bool tunnel;       /* a 2xx to CONNECT: a head, and behind it the tunnel, or the connection's end */
    uint16_t status;   /* that was sent */
    uint64_t left;     /* by length: bytes still owed */
    uint64_t total;    /* bytes of data that were written */
};

/* What the other side can be told, and wants. */
struct http_peer {
    bool head;      /* the request was a HEAD */
    bool connect;   /* or a CONNECT */
    bool old;       /* HTTP/1.0 */
    bool keep_alive;
};

void h1_peer_of(struct http_peer *p, const struct http_head *h, const char *bytes);

/* Begins a response: length of its body, or -1 where that is not known yet. Writes the status line and the fields
 * that frame it into out; date: 29 bytes or NULL. The caller adds fields of its own, then h1_end_head. */
int h1_begin_response(struct http_out *o, const struct http_peer *p, struct buf *out, int status, int64_t length,
                        const char *date);

/* Adds "name: value"; the caller has checked both. */
int h1_add_field(struct buf *out, const char *name, size_t name_length, const char *value, size_t n);
int h1_end_head(struct buf *out);

/* n bytes of the body are about to be written: writes what stands in front of them, in out. 0; HTTP_TOO_LONG where that
 * is more than was announced; -ENOMEM. *muted: they are not to be written. */
enum { HTTP_TOO_LONG = -100101, HTTP_TOO_SHORT = -100102 }; /* apart from those of errors.h */
int h1_before_data(struct http_out *o, struct buf *out, size_t n, bool *muted);
const char *h1_behind_data(const struct http_out *o, size_t n); /* what stands behind them, "" for nothing */

/* The body is over: its end in out. 0; HTTP_TOO_SHORT, and the connection cannot go on; -ENOMEM. */
int h1_finish(struct http_out *o, struct buf *out);

/* The reason phrase of a status (RFC 9110 15), or "". */
const char *h1_reason(int status);

/* May a response of that status be received with a body? */
bool h1_has_body(int status);

#endif
