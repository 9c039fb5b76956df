/* SPDX-License-Identifier: MIT */
/* http_hops.h - which fields of a head concern one connection only, and stay behind when it is passed on (RFC 9110
 * 7.6.1).
 *
 * Called by forward_request, forward_response and http_forwarded. */
#ifndef MOONPARK_HTTP_HOPS_H
#define MOONPARK_HTTP_HOPS_H

#include "http/h1_parse.h"

/* The Connection fields of a head, but for those that say nothing about other fields. */
struct http_hops {
    const char *bytes;
    const struct http_head *head;
    uint16_t at[8];
    int count;
    bool many; /* more than that, as no honest message has: it is not passed on */
};

void http_hops_find(struct http_hops *hops, const char *bytes, const struct http_head *head);

/* Is a field of that name of one connection whatever the message says: what frames it, and the few names known? */
bool http_hops_always(const char *name, size_t n);

/* Is the field of that name one of these? Those that mean something here (enum http_id) are, for they are written
 * anew. */
bool http_hops_has(const struct http_hops *hops, const char *name, size_t n);

/* The next element of a list, without the blanks around it; it may be empty. False: there is none. */
bool http_hops_next(const char *value, size_t length, size_t *at, struct http_span *element);

/* Does this list have the name, in any case? */
bool http_hops_lists(const char *value, size_t length, const char *name, size_t n);

#endif
