/* SPDX-License-Identifier: MIT */
/* http_form.h - percent-encoding; the names and values of a query, of a form, and of a Cookie field.
 *
 * Called by http_router, l_http_form and l_http_router. Nothing is copied: results point into the caller's bytes. */
#ifndef MOONPARK_HTTP_FORM_H
#define MOONPARK_HTTP_FORM_H

#include "http/http_message.h"

struct http_pair {
    struct http_text name, value;
};

/* Decodes "%41" (and '+' as a space if plus) from n bytes into `to`, which may be the same place. Returns the number of
 * bytes written; -1: a '%' is not followed by two hexadecimal digits. */
ptrdiff_t http_form_decode(char *to, const char *bytes, size_t n, bool plus);

/* Is there anything to decode? */
bool http_form_is_encoded(struct http_text text, bool plus);

/* Finds the next pair of a query or form from *at on, and advances *at. Name and value are still encoded; the value is
 * empty if there is no '='. Empty parts are skipped. Returns false at the end. */
bool http_form_next(struct http_text form, size_t *at, struct http_pair *p);

/* Finds the next cookie of a Cookie field (RFC 6265 5.4) in the same way: its value without surrounding blanks and
 * double quotes. Parts that are no cookie are skipped. */
bool http_form_next_cookie(struct http_text field, size_t *at, struct http_pair *p);

#endif
