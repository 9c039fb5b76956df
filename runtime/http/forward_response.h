/* SPDX-License-Identifier: MIT */
/* forward_response.h - forwards a target's response: from the reader that received it to the exchange of the client.
 *
 * Called by the Lua face. The response is framed anew for the client, and fields that concern only the target's
 * connection are dropped. What is written here leaves with the exchange's next flush. */
#ifndef MOONPARK_FORWARD_RESPONSE_H
#define MOONPARK_FORWARD_RESPONSE_H

#include "http/exchange.h"
#include "http/http_client.h"

/* Was the head of a response written? */
bool forward_response_has_begun(const struct http_exchange *x);

/* Is no task in the middle of a write? The functions that follow need that. */
bool forward_response_is_free(const struct http_exchange *x);

/* The fields that the script has set, which go with the target's. */
struct forward_own {
    bool (*has)(const void *fields, struct http_text name);  /* then the target's of that name are left out */
    int (*add)(const void *fields, struct http_exchange *x); /* 0 or -ENOMEM; having taken the head back it may jump */
    const void *fields;
};

/* Writes the head that r has read on c, and the body too if it is small and has arrived. own: or NULL. Returns 1: that
 * was the whole response; 0: the body is still to be forwarded; ERR_MALFORMED: a client might misread it; -ENOMEM; or
 * why x's response has failed. */
int forward_response(struct http_exchange *x, struct http_reader *r, struct conn *c, const struct forward_own *own);

/* Writes an interim response (1xx), unless the client is HTTP/1.0 or has already received a 100 Continue, or the
 * response has begun or failed. Returns 0, or a failure as above. */
int forward_response_interim(struct http_exchange *x, const struct http_reader *r);

/* Writes the head of a 101 for the client into w->bytes. ERR_MALFORMED: the target did not choose exactly one of the
 * protocols that were asked for. */
int forward_response_switch(struct http_reader *w, const struct http_reader *r, struct http_text asked);

/* If a response is under way, cuts it off, visibly for the client, and returns true. */
bool forward_response_cut(struct http_exchange *x);

#endif
