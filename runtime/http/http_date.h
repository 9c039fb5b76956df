/* SPDX-License-Identifier: MIT */
/* http_date.h - the text of the Date field (RFC 9110 5.6.7), rewritten once a second.
 *
 * Called by http_conn and exchange; a server has one. */
#ifndef MOONPARK_HTTP_DATE_H
#define MOONPARK_HTTP_DATE_H

#include "base/clock.h"

struct http_date {
    int64_t due; /* ns, monotonic: when it must be rewritten */
    char text[32];
};

/* Rewrites the text and returns it: "Mon, 01 Jan 2024 00:00:00 GMT", 29 bytes. */
const char *http_date_renew(struct http_date *d, const struct clock *c);

/* The text, rewritten only if a second has passed. now: ns, at most one turn old. */
static inline const char *http_date_text(struct http_date *d, const struct clock *c, int64_t now)
{
    return d->due > now ? d->text : http_date_renew(d, c);
}

#endif
