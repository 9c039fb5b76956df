/* SPDX-License-Identifier: MIT */
/* http_form.h - percent-encoding; the names and values of a query, of a form, and of a Cookie field.
 *
 * Called by http_router and the Lua face of requests. Nothing is copied: texts are places in the caller's bytes. */
#ifndef MOONPARK_HTTP_FORM_H
#define MOONPARK_HTTP_FORM_H

#include "http/http_message.h"

struct http_pair {
    struct http_text name, value;
};

/* Decodes "%41" (and '+' as a space where plus) from n bytes into `to`, which may be the same place. How many bytes
 * came out; -1: a '%' that is not followed by two hexadecimal digits. */
ptrdiff_t http_form_decode(char *to, const char *bytes, size_t n, bool plus);

/* Would decoding change it? */
bool http_form_is_encoded(struct http_text text, bool plus);

/* The next pair of a query or form, from *at on, which moves: still encoded; the value is empty if it has no '='. Empty
 * parts are passed over. false: there is none. */
bool http_form_next(struct http_text form, size_t *at, struct http_pair *p);

/* The next cookie of a Cookie field (RFC 6265 5.4), in the same way: its value without blanks and double quotes around
 * it. Parts that are none are passed over. */
bool http_form_next_cookie(struct http_text field, size_t *at, struct http_pair *p);

#endif
