/* SPDX-License-Identifier: MIT */
/* decimal.h - a number as text: what printf makes of it with "%.14g" in the C locale, several times faster.
 *
 * Called by json.c and l_conn_write.c. Knows no locale: the point is a point. */
#ifndef MOONPARK_DECIMAL_H
#define MOONPARK_DECIMAL_H

#include "base/base.h"

enum { DECIMAL_MAX = 24 }; /* bytes of the longest text, and some more */

/* Writes x, which is finite, without a zero byte after it. Returns how many bytes that were, at most DECIMAL_MAX. */
size_t decimal_write(char *to, double x);

#endif
