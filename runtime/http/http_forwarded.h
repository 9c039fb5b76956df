/* SPDX-License-Identifier: MIT */
/* http_forwarded.h - what a proxy looks at before it passes a request on: fields that say who is in front of the
 * target, and paths that would leave the target's own.
 *
 * Called by forward_request and the Lua face. A field that a client has written badly could swallow what the proxy adds
 * after it; so what is not to the letter of its grammar is not passed on. */
#ifndef MOONPARK_HTTP_FORWARDED_H
#define MOONPARK_HTTP_FORWARDED_H

#include "base/base.h"

/* Fields of a request that a target may take for the word of those in front of it. */
enum http_trusted {
    HTTP_UNTRUSTED,       /* like any other */
    HTTP_X_FORWARDED_FOR,
    HTTP_FORWARDED,
    HTTP_VIA,
    HTTP_MAX_FORWARDS,
    HTTP_ABOUT_CLIENT,    /* X-Forwarded-..., X-Real-IP */
    HTTP_DISGUISED,       /* one of these, or one that frames or routes, to who reads X_Forwarded_For as it: CGI does */
};

enum http_trusted http_forwarded_name(const char *name, size_t n);

/* Is the value of that field, from a client, what its definition says? RFC 7239 4, RFC 9110 7.6.3; X-Forwarded-For:
 * addresses and names, separated by commas. */
bool http_forwarded_is_good(enum http_trusted field, const char *value, size_t n);

/* Does the path have a segment that is "." or ".." to anybody who reads it, or bytes that readers decode in different
 * ways? Slashes and dots may be percent-encoded, once, and in UTF-8 that is longer than it need be; backslashes be
 * slashes; blanks be nothing; and what follows a ';', '?' or '#' be none of the segment. */
bool http_forwarded_climbs(const char *path, size_t n);

#endif
