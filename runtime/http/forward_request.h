/* SPDX-License-Identifier: MIT */
/* forward_request.h - the head with which a proxy passes a client's request on to its target.
 *
 * Called by the Lua face. What frames a message is never copied, but written anew from what was understood of it: so
 * what leaves has one meaning, whatever came. Fields that concern one connection only are dropped (RFC 9110 7.6.1), and
 * fields that a target takes for the word of a proxy are the proxy's own. */
#ifndef MOONPARK_FORWARD_REQUEST_H
#define MOONPARK_FORWARD_REQUEST_H

#include "http/exchange.h"
#include "http/http_client.h"

/* How the target is told of the client: X-Forwarded-For and its neighbours, or Forwarded (RFC 7239). */
enum forward_client { FORWARD_NOT, FORWARD_X, FORWARD_STANDARD };

/* What the target is asked, beside what the client has said. A text that is not given is at NULL. */
struct forward_request {
    struct http_text path;      /* what is asked for, see forward_request_is_path */
    struct http_text prefix;    /* the target's own path, which stands before it */
    struct http_text host;      /* what the target is called; else as the client has called it */
    struct http_text protocols; /* those that the client may ask to go on with, separated by commas */
    struct http_text via;       /* what the proxy is called in Via; else it adds none */
    struct http_text hops;      /* a Max-Forwards in the place of the client's */
    int64_t held;               /* bytes of the body, if all of it was read already; else -1 */
    enum forward_client client;
};

/* Writes the head into w->bytes, and those protocols that it asks for into w->trailer. A client that waits for "100
 * Continue" is the target's to answer from here on. 0; ERR_MALFORMED: the client's message must not be passed on;
 * -ENOMEM. */
int forward_request(struct http_reader *w, struct http_exchange *x, const struct forward_request *q);

/* Does the client wait for "100 Continue" with the body, so that the target is to say it? */
bool forward_request_asks(const struct http_exchange *x);

/* Is it a path as a request has it, or "*"? */
bool forward_request_is_path(struct http_text path);

#endif
