/* SPDX-License-Identifier: MIT */
/* h1_parse.h - HTTP/1 bytes to spans, strictly by RFC 9112 and RFC 9110.
 *
 * No allocation, no I/O, no state between calls. Spans are offsets into the caller's bytes, so these may move. Anything
 * that two readers could understand differently is refused, never guessed: a bare CR or LF, obs-fold (h1_fold removes
 * it from responses), a space before a colon, a Content-Length that is repeated, listed or signed, or that comes with a
 * Transfer-Encoding, ... */
#ifndef MOONPARK_H1_PARSE_H
#define MOONPARK_H1_PARSE_H

#include "base/base.h"

enum { HTTP_FIELDS_MAX = 100 };

/* What is wrong. h1_parse_status gives the status of the response. */
enum http_error {
    HTTP_INCOMPLETE = 0,      /* nothing is wrong yet: more bytes are needed */
    HTTP_BAD_LINE_END = -1,   /* a bare CR or LF */
    HTTP_BAD_METHOD = -2,
    HTTP_BAD_TARGET = -3,
    HTTP_BAD_VERSION = -4,    /* not "HTTP/d.d" */
    HTTP_BAD_FIELD = -5,      /* the name: not a token up to the colon; a folded line */
    HTTP_BAD_VALUE = -6,      /* a control byte */
    HTTP_BAD_HOST = -7,       /* missing, doubled or malformed */
    HTTP_BAD_LENGTH = -8,     /* Content-Length */
    HTTP_BAD_CODING = -9,     /* Transfer-Encoding; or both of them */
    HTTP_BAD_CHUNK = -10,     /* its size, extension or end */
    HTTP_BAD_STATUS = -11,    /* of a response */
    HTTP_BAD_TRAILER = -12,   /* a field that frames or routes, in a trailer */
    HTTP_TOO_MANY = -13,      /* more than HTTP_FIELDS_MAX fields, or fields longer than the limit */
    HTTP_VERSION = -14,       /* a major version that is not 1 */
    HTTP_CODING = -15,        /* a transfer coding that we do not know */
    HTTP_EXPECTATION = -16,   /* an Expect that is not 100-continue */
    HTTP_LONG_TARGET = -17,   /* a head longer than the limit because of its target */
    HTTP_LONG_METHOD = -18,   /* or because of its method */
};

/* Fields that this parser interprets; others are HTTP_OTHER. */
enum http_id {
    HTTP_OTHER,
    HTTP_CONNECTION,
    HTTP_CONTENT_LENGTH,
    HTTP_EXPECT,
    HTTP_HOST,
    HTTP_TRANSFER_ENCODING,
    HTTP_UPGRADE,
};

enum http_form { HTTP_ORIGIN, HTTP_ABSOLUTE, HTTP_AUTHORITY, HTTP_ASTERISK };

struct http_span {
    uint32_t at, length;
};

struct http_field {
    struct http_span name, value; /* the value without whitespace around it */
};

struct http_head {
    struct http_span method, target; /* of a request */
    struct http_span authority;      /* of a request: the target's if it has one, else the Host field's value */
    struct http_span path, query;    /* query: without the '?' */
    struct http_span reason;         /* of a response */
    int64_t content_length;          /* -1: none */
    uint32_t length;                 /* of the whole head, including empty lines before it and the one at its end */
    uint16_t status;                 /* of a response */
    uint16_t count;                  /* fields */
    uint8_t form;                    /* enum http_form */
    uint8_t minor;                   /* of the version: 0, or 1 and more */
    uint8_t hosts, lengths, codings; /* how many of these fields were seen */
    bool has_query;
    bool has_chunks; /* "chunked" is among the transfer codings */
    bool chunked;    /* and is the last one */
    bool coded;      /* of a response: it has transfer codings that we cannot undo */
    bool close;      /* Connection has "close" */
    bool keep_alive; /* Connection has "keep-alive" */
    bool upgrade;    /* Connection has "upgrade", and an Upgrade field says to what */
    bool expect;     /* Expect: 100-continue */
    bool until_end;  /* of a response: the body, if it may have one, ends with the connection */
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Parses a request's head in the n bytes. Returns its length; HTTP_INCOMPLETE; or an http_error. */
int h1_parse_request(struct http_head *h, const char *bytes, size_t n);

/* The same for a response. */
int h1_parse_response(struct http_head *h, const char *bytes, size_t n);

/* Does a head that was incomplete now have its end, or something that makes waiting for it useless? The first
 * `searched` bytes were searched before. So a head that arrives byte by byte is not parsed each time. */
bool h1_parse_has_end(const char *bytes, size_t n, size_t searched);

/* The http_error of a request's head that is still incomplete after n bytes, the most that are accepted. */
int h1_parse_overlong(const char *bytes, size_t n);

/* Do these bytes begin a HEAD request? The response has no body then, even if the request is refused. */
bool h1_parse_is_to_head(const char *bytes, size_t n);

/* The response status for an http_error: 400, 414, 417, 431, 501, 505. */
int h1_parse_status(int error);

/* The text of an http_error, for a log. */
const char *h1_parse_words(int error);

/* The id of the field with that name. */
enum http_id h1_parse_id(const char *name, size_t n);

/* Are these n bytes a token (RFC 9110 5.6.2), a field's value (5.5)? */
bool h1_parse_is_token(const char *bytes, size_t n);
bool h1_parse_is_value(const char *bytes, size_t n);

/* ---- chunked bodies ---- */

/* Zeroed: before the first chunk. */
struct http_chunks {
    uint64_t left;     /* bytes of the chunk's data still to come */
    uint16_t extra;    /* bytes of extensions so far, less those of data */
    uint8_t state;
    uint8_t digits;
};

enum http_chunk { HTTP_MORE, HTTP_DATA, HTTP_TRAILERS };

/* Consumes some of the n bytes; *used is how many.
 * HTTP_MORE: all are consumed, more are needed. HTTP_DATA: `data` is the span of body bytes, all of them consumed.
 * HTTP_TRAILERS: the last chunk is over; the trailer section begins after the consumed bytes. Or an http_error. */
int h1_parse_chunk(struct http_chunks *c, const char *bytes, size_t n, size_t *used, struct http_span *data);

/* Parses the line of the trailer section at *at. Returns 1, with *at after the line; HTTP_INCOMPLETE; or an http_error.
 * The empty line that ends the section is a field without a name. */
int h1_parse_trailer(struct http_field *f, const char *bytes, size_t n, size_t *at);

/* Parses the whole section, of any number of fields. Returns its length, including that line; HTTP_INCOMPLETE; or an
 * http_error. */
int h1_parse_trailers(const char *bytes, size_t n);

#endif
