/* SPDX-License-Identifier: MIT */
/* http_fields.h - what a message that was received says of its fields and its body, whatever wire it came on.
 *
 * Called by l_http_head. */
#ifndef MOONPARK_HTTP_FIELDS_H
#define MOONPARK_HTTP_FIELDS_H

#include "http/h1_frame.h"

/* The next field of a trailer section that was received, from *at on, as spans of its bytes. False: there is none. */
bool http_fields_next(const struct buf *trailer, size_t *at, struct http_field *f);

/* How a body is framed: "none" | "length" | "chunks" | "end". */
const char *http_fields_framing(const struct http_body *body);

/* Was all of it handed out? */
bool http_fields_all_read(const struct http_body *body);

#endif
