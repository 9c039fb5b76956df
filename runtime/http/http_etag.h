/* SPDX-License-Identifier: MIT */
/* http_etag.h - the entity tag of a file.
 *
 * Called by l_http_file. */
#ifndef MOONPARK_HTTP_ETAG_H
#define MOONPARK_HTTP_ETAG_H

#include "net/send_file.h"

enum { HTTP_ETAG_MAX = 64 }; /* bytes of the longest one, including the terminating zero */

/* Writes a strong entity tag (RFC 9110 8.8.3) with its quotes. Returns its length. */
size_t http_etag(const struct send_file_info *info, char text[static HTTP_ETAG_MAX]);

#endif
