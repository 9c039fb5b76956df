/* SPDX-License-Identifier: MIT */
/* http_hops.h - the fields of a head that concern one connection only, and are not forwarded (RFC 9110 7.6.1).
 *
 * Called by forward_request, forward_response and forward_check. */
#ifndef MOONPARK_HTTP_HOPS_H
#define MOONPARK_HTTP_HOPS_H

#include "http/h1_parse.h"

/* The Connection fields of a head, except for those that name no other fields. */
struct http_hops {
    const char *bytes;
    const struct http_head *head;
    uint16_t at[8];
    int count;
    bool many; /* more than fit, as in no honest message: do not forward it */
};

void http_hops_find(struct http_hops *hops, const char *bytes, const struct http_head *head);

/* Does a field of that name always concern one connection only: a framing field, or one of a few known names? */
bool http_hops_always(const char *name, size_t n);

/* Does the field of that name concern one connection only? Those of enum http_id count, because they are written
 * anew. */
bool http_hops_has(const struct http_hops *hops, const char *name, size_t n);

/* Finds the next element of a list, without the blanks around it; it may be empty. False: there is none. */
bool http_hops_next(const char *value, size_t length, size_t *at, struct http_span *element);

/* Does the list contain the name? Ignores case. */
bool http_hops_lists(const char *value, size_t length, const char *name, size_t n);

#endif
