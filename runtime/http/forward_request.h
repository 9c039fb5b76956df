/* SPDX-License-Identifier: MIT */
/* forward_request.h - writes the head with which a proxy forwards a client's request to its target.
 *
 * Called by the Lua face. The framing is never copied but written anew from the parsed message, so the forwarded
 * request is unambiguous whatever the client sent. Fields that concern one connection only are dropped (RFC 9110
 * 7.6.1), and fields that a target trusts a proxy to set are the proxy's own. */
#ifndef MOONPARK_FORWARD_REQUEST_H
#define MOONPARK_FORWARD_REQUEST_H

#include "http/exchange.h"
#include "http/http_client.h"

/* How the target learns about the client: X-Forwarded-For and related fields, or Forwarded (RFC 7239). */
enum forward_client { FORWARD_NOT, FORWARD_X, FORWARD_STANDARD };

/* The proxy's settings for one request. A text that is not given has `at` NULL. */
struct forward_request {
    struct http_text path;      /* the requested path, see forward_request_is_path */
    struct http_text prefix;    /* the target's own path, written before it */
    struct http_text host;      /* the Host for the target; default: the client's */
    struct http_text protocols; /* those that the client may upgrade to, separated by commas */
    struct http_text via;       /* the proxy's name in Via; default: no Via is added */
    struct http_text hops;      /* a Max-Forwards in place of the client's */
    int64_t held;               /* bytes of the body, if all of it was read already; else -1 */
    enum forward_client client;
};

/* Writes the head into w->bytes, and the protocols that it asks for into w->trailer. From here on only the target
 * answers a client that waits for "100 Continue". 0; ERR_MALFORMED: the client's message must not be forwarded;
 * -ENOMEM. */
int forward_request(struct http_reader *w, struct http_exchange *x, const struct forward_request *q);

/* Does the client hold its body back until "100 Continue", which the target must send? */
bool forward_request_asks(const struct http_exchange *x);

/* Is it a path in the form that a request has, or "*"? */
bool forward_request_is_path(struct http_text path);

#endif
