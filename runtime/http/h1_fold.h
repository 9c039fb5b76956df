/* SPDX-License-Identifier: MIT */
/* h1_fold.h - heads and trailer sections of responses, where fields may be folded (obs-fold, RFC 9112 5.2): a line
 * that begins with white space goes on with the field before it, and each such fold is one space.
 *
 * Called by h1_client and http_body. Requests never come here: a folded field of theirs is refused. The
 * first line of a head, and the first field, have nothing that they could go on with. */
#ifndef MOONPARK_H1_FOLD_H
#define MOONPARK_H1_FOLD_H

#include "http/h1_parse.h"

/* As h1_parse_response and h1_parse_trailers. A message that has folds is changed to one that says the same without
 * them, in as many bytes. */
int h1_fold_response(struct http_head *h, char *bytes, size_t n);
int h1_fold_trailers(char *bytes, size_t n);

#endif
