/* SPDX-License-Identifier: MIT */
/* http_fields.h - the trailer fields and the body's framing of a received message, whatever the protocol.
 *
 * Called by l_http_head. */
#ifndef MOONPARK_HTTP_FIELDS_H
#define MOONPARK_HTTP_FIELDS_H

#include "http/h1_frame.h"

/* Finds the next field of a received trailer section, from *at on, as spans of its bytes. False: there is none. */
bool http_fields_next(const struct buf *trailer, size_t *at, struct http_field *f);

/* How a body is framed: "none" | "length" | "chunks" | "end". */
const char *http_fields_framing(const struct http_body *body);

/* Was all of it handed out? */
bool http_fields_all_read(const struct http_body *body);

#endif
