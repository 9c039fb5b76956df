/* SPDX-License-Identifier: MIT */
/* json.h - strings and numbers as JSON writes them, appended to a buffer.
 *
 * Called by l_json, which knows values. */
#ifndef MOONPARK_JSON_H
#define MOONPARK_JSON_H

#include "base/buf.h"

/* Appends n bytes as a string, quotes included. Escaped are control bytes, DEL, '"', '\', and '/' behind '<', so that
 * "</script>" does not end a script. Other bytes go through as they are, whether they are UTF-8 or not. Returns 0 or
 * -ENOMEM; then part of it may have been appended. */
int json_string(struct buf *b, const char *bytes, size_t n);

/* Appends x, which is finite, with 14 significant digits. Returns 0 or -ENOMEM. */
int json_number(struct buf *b, double x);

#endif
