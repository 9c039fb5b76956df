/* SPDX-License-Identifier: MIT */
/* forward_check.h - what a proxy checks before it forwards a request: fields that describe the client and the proxies
 * on the way, and paths that would climb out of the target's own path.
 *
 * Called by forward_request and the Lua face. A malformed field of a client could swallow what the proxy appends to it,
 * so a field that does not match its grammar exactly is not forwarded. */
#ifndef MOONPARK_FORWARD_CHECK_H
#define MOONPARK_FORWARD_CHECK_H

#include "base/base.h"

/* Fields of a request that a target may trust as written by a proxy in front of it. */
enum http_trusted {
    HTTP_UNTRUSTED,       /* any other field */
    HTTP_X_FORWARDED_FOR,
    HTTP_FORWARDED,
    HTTP_VIA,
    HTTP_MAX_FORWARDS,
    HTTP_ABOUT_CLIENT,    /* X-Forwarded-..., X-Real-IP */
    HTTP_DISGUISED,       /* looks like one of these, or like a framing or routing field, to a target that treats
                             "_" and "-" alike: X_Forwarded_For, as in CGI */
};

enum http_trusted forward_check_name(const char *name, size_t n);

/* Does a client's value of that field match its grammar? RFC 7239 4, RFC 9110 7.6.3; X-Forwarded-For: addresses and
 * names, separated by commas. */
bool forward_check_is_good(enum http_trusted field, const char *value, size_t n);

/* Does the path have a segment that some server could read as "." or "..", or bytes that servers decode differently?
 * Assumes that slashes and dots may be percent-encoded (once, also as overlong UTF-8), that a backslash may count as a
 * slash, that blanks may be ignored, and that a segment may end at ';', '?' or '#'. */
bool forward_check_climbs(const char *path, size_t n);

#endif
