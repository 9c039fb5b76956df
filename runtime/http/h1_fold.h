/* SPDX-License-Identifier: MIT */
/* h1_fold.h - heads and trailer sections of responses, whose fields may be folded (obs-fold, RFC 9112 5.2): a line
 * that begins with white space continues the field before it, and each such fold counts as one space.
 *
 * Called by h1_client and http_body. Not used for requests, in which folded fields are refused. The first line of a
 * head, and the first field, cannot be continuation lines. */
#ifndef MOONPARK_H1_FOLD_H
#define MOONPARK_H1_FOLD_H

#include "http/h1_parse.h"

/* Like h1_parse_response and h1_parse_trailers. Folds are first replaced in place, by an equivalent message of the same
 * length. */
int h1_fold_response(struct http_head *h, char *bytes, size_t n);
int h1_fold_trailers(char *bytes, size_t n);

#endif
