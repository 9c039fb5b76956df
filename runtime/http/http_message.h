/* SPDX-License-Identifier: MIT */
/* http_message.h - a message that is being read or written: what frames its body, how much of that is left, what the
 * other side wants.
 *
 * Used by exchange, http_body, http_client and what reads and writes HTTP/1 (h1_frame). */
#ifndef MOONPARK_HTTP_MESSAGE_H
#define MOONPARK_HTTP_MESSAGE_H

#include "http/h1_parse.h"

/* Bytes that lie somewhere. */
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
    bool folds;           /* whose fields may be folded: it is a response's */
    bool held;            /* bytes were taken, and it is not certain yet that somebody has got them */
    int failure;          /* why the rest will never come; 0: nothing is wrong with it */
    uint64_t left;        /* by length */
    uint64_t total;       /* bytes of data so far */
    struct http_chunks chunks; /* HTTP/1: where in a chunk it is */
};

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

/* Results, apart from those of errors.h: of what was announced there is more, or less. */
enum { HTTP_TOO_LONG = -100101, HTTP_TOO_SHORT = -100102 };

#endif
