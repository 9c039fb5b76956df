/* SPDX-License-Identifier: MIT */
/* http_message.h - the state of a message that is being read or written, on any wire: what frames its body, how much of
 * it is left, what the peer wants.
 *
 * Used by exchange, http_body, http_client, h1_frame, and by http_router and http_form for http_text. */
#ifndef MOONPARK_HTTP_MESSAGE_H
#define MOONPARK_HTTP_MESSAGE_H

#include "http/h1_parse.h"

/* Bytes somewhere in memory, not terminated. */
struct http_text {
    const char *at;
    size_t length;
};

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
    bool folds;           /* trailer fields may be folded: it belongs to a response */
    bool held;            /* bytes were taken that may not have been handed out yet */
    int failure;          /* why the rest will never come; 0: none */
    uint64_t left;        /* by length */
    uint64_t total;       /* bytes of data so far */
    struct http_chunks chunks; /* HTTP/1: where in a chunk it is */
};

/* ---- a message that is written ---- */

enum http_phase { HTTP_UNSENT, HTTP_IN_BODY, HTTP_SENT };

struct http_out {
    uint8_t phase;     /* enum http_phase */
    uint8_t framing;   /* enum http_framing */
    bool mute;         /* the response to a HEAD, 204, 205, 304: a head, and no body whatever is written */
    bool keep_alive;   /* the connection goes on after it */
    bool tunnel;       /* a 2xx to CONNECT: after the head comes the tunnel, or the connection's end */
    uint16_t status;
    uint64_t left;     /* by length: bytes still owed */
    uint64_t total;    /* bytes of data that were written */
};

/* What the peer understands and wants. */
struct http_peer {
    bool head;      /* the request was a HEAD */
    bool connect;   /* or a CONNECT */
    bool old;       /* HTTP/1.0 */
    bool keep_alive;
};

/* Results besides those of errors.h: the body has more, or less, than was announced. */
enum { HTTP_TOO_LONG = -100101, HTTP_TOO_SHORT = -100102 };

#endif
