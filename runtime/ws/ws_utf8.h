/* SPDX-License-Identifier: MIT */
/* ws_utf8.h - is a text UTF-8 (RFC 3629)? Asked piece by piece, wherever it is cut.
 *
 * Called by ws_receive and the Lua face. A byte that cannot follow is refused when it comes, not at the text's end. */
#ifndef MOONPARK_WS_UTF8_H
#define MOONPARK_WS_UTF8_H

#include "base/base.h"

/* Zeroed: between two characters. */
struct ws_utf8 {
    uint8_t need;      /* continuation bytes that the current character still lacks */
    uint8_t low, high; /* what the next of them may be */
};

/* Do the next n bytes continue a valid text? After false the state means nothing. */
bool ws_utf8_take(struct ws_utf8 *u, const char *bytes, size_t n);

/* May the text end here? */
static inline bool ws_utf8_is_whole(const struct ws_utf8 *u) { return u->need == 0; }

#endif
