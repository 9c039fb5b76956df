/* SPDX-License-Identifier: MIT */
/* h1_frame.h - HTTP/1 framing, RFC 9112 6 and 9: what body follows a head, where it ends, and whether the connection
 * goes on after it. Tables of states without socket and without Lua.
 *
 * Called by h1_client, h1_exchange, http_body, http_conn, http_fields and forward_response. Bytes come and go through
 * the caller's buffers. */
#ifndef MOONPARK_H1_FRAME_H
#define MOONPARK_H1_FRAME_H

#include "base/buf.h"
#include "http/http_message.h"

/* ---- a body that is read ---- */

void h1_request_body(struct http_body *b, const struct http_head *h);
void h1_response_body(struct http_body *b, const struct http_head *h, bool to_head);

enum http_step { HTTP_NEED, HTTP_BYTES, HTTP_TRAILER_NEXT, HTTP_OVER };

/* Takes some of the n bytes; *used says how many, data where there are bytes of the body among them (HTTP_BYTES).
 * HTTP_NEED: all were taken, and there is more to come. HTTP_TRAILER_NEXT: h1_parse_trailers is to read what
 * follows, then h1_trailer_taken. HTTP_OVER: nothing more belongs to it. Or an http_error. */
int h1_take(struct http_body *b, const char *bytes, size_t n, size_t *used, struct http_span *data);
void h1_trailer_taken(struct http_body *b);

/* ---- a message that is written ---- */

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
int h1_before_data(struct http_out *o, struct buf *out, size_t n, bool *muted);
const char *h1_after_data(const struct http_out *o, size_t n); /* what stands behind them, "" for nothing */

/* The body is over: its end in out. 0; HTTP_TOO_SHORT, and the connection cannot go on; -ENOMEM. */
int h1_finish(struct http_out *o, struct buf *out);

/* All of an answer: its head, and its reason as the body, but for a HEAD. Its connection ends. 0 or -ENOMEM. */
int h1_put_answer(struct buf *out, int status, bool to_head, const char *date);

#endif
