/* SPDX-License-Identifier: MIT */
/* http_hops.h - which fields of a message a proxy passes on, and which of them mean what they seem to.
 *
 * Floor 6; called by the face of proxies. Values that their grammar does not allow are not passed on: put before a
 * value of ours they could take it away, as an unterminated quote does. */
#ifndef MOONPARK_HTTP_HOPS_H
#define MOONPARK_HTTP_HOPS_H

#include "http_parse.h"

enum { HTTP_HOPS_MAX = 8 };

/* The Connection fields of a head that say something about other fields. */
struct http_hops {
    const char *bytes;
    const struct http_head *head;
    uint16_t at[HTTP_HOPS_MAX];
    int count;
};

/* 0; ERR_MALFORMED: there are more of them than any honest message has. */
int http_hops_find(struct http_hops *hops, const char *bytes, const struct http_head *head);

/* Does a field of that name concern this connection alone, or stand for another one: X_Forwarded_For, which a CGI
 * program takes for X-Forwarded-For? */
bool http_hops_drops(const struct http_hops *hops, const char *name, size_t n);

/* One of those that a proxy writes anew: X-Forwarded-For, -Host and -Proto, Forwarded? */
bool http_hops_is_about_client(const char *name, size_t n);

/* Is it a Forwarded field's value (RFC 7239 4), a Via field's (RFC 9110 7.6.3), a list of addresses or names? */
bool http_hops_is_forwarded(const char *value, size_t n);
bool http_hops_is_via(const char *value, size_t n);
bool http_hops_is_address_list(const char *value, size_t n);

#endif
