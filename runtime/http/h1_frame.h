/* SPDX-License-Identifier: MIT */
/* h1_frame.h - HTTP/1 framing, RFC 9112 6 and 9: what body follows a head, where it ends, and whether the connection
 * goes on after it. State machines without I/O and without Lua.
 *
 * Called by h1_client, h1_exchange, http_body, http_conn and forward_response. Bytes come and go through the caller's
 * buffers. */
#ifndef MOONPARK_H1_FRAME_H
#define MOONPARK_H1_FRAME_H

#include "base/buf.h"
#include "http/http_message.h"

/* ---- a body that is read ---- */

void h1_request_body(struct http_body *b, const struct http_head *h);
void h1_response_body(struct http_body *b, const struct http_head *h, bool to_head);

enum http_step { HTTP_NEED, HTTP_BYTES, HTTP_TRAILER_NEXT, HTTP_OVER };

/* Takes *used of the n bytes. Returns HTTP_BYTES: *data says which of them are bytes of the body; HTTP_NEED: all were
 * taken, and more must come; HTTP_TRAILER_NEXT: read what follows with h1_parse_trailers, then call h1_trailer_taken;
 * HTTP_OVER: the body has ended before these bytes; or an http_error. */
int h1_take(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data);
void h1_trailer_taken(struct http_body *b);

/* ---- a message that is written ---- */

void h1_peer_of(struct http_peer *p, const struct http_head *h, const char *bytes);

/* Begins a response: appends the status line, the fields that frame it, and Date. length: of the body, -1 if not known
 * yet; date: 29 bytes or NULL. The caller adds its own fields, then calls h1_end_head. Returns 0 or -ENOMEM. */
int h1_begin_response(struct http_out *o, const struct http_peer *p, struct buf *out, int status, int64_t length,
                        const char *date);

/* Adds "name: value"; the caller has checked both. */
int h1_add_field(struct buf *out, const char *name, size_t name_length, const char *value, size_t n);
int h1_end_head(struct buf *out);

/* n bytes of the body come next: appends what precedes them. *muted: do not write them. Returns 0; HTTP_TOO_LONG: more
 * than was announced; -ENOMEM. */
int h1_before_data(struct http_out *o, struct buf *out, size_t n, bool *muted);
const char *h1_after_data(const struct http_out *o, size_t n); /* what follows them, "" for nothing */

/* Ends the body: appends what marks its end. Returns 0; HTTP_TOO_SHORT: less than was announced, so the connection
 * cannot go on; -ENOMEM. */
int h1_finish(struct http_out *o, struct buf *out);

/* Appends a whole response that ends its connection: a head, and unless to_head, the reason as its body. Returns 0 or
 * -ENOMEM. */
int h1_put_answer(struct buf *out, int status, bool to_head, const char *date);

#endif
