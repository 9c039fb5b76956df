/* SPDX-License-Identifier: MIT */
/* forward_response.h - a target's response, from the reader that has received it to the exchange of a proxy's client.
 *
 * Called by the Lua face. It is framed anew for the client, and fields that concern the target's connection only are
 * dropped. What is written leaves with the exchange's next flush. */
#ifndef MOONPARK_FORWARD_RESPONSE_H
#define MOONPARK_FORWARD_RESPONSE_H

#include "http/exchange.h"
#include "http/http_client.h"

/* Was the head of a response written? */
bool forward_response_has_begun(const struct http_exchange *x);

/* Is no task in the middle of a write? The functions that follow need that. */
bool forward_response_is_free(const struct http_exchange *x);

/* Writes the head that r has read on c, and the body too if that is small and has come. 1: that was all of the
 * response; 0: the body is to follow; ERR_MALFORMED: a client might misread it; -ENOMEM; or why x's response has
 * failed. */
int forward_response(struct http_exchange *x, struct http_reader *r, struct conn *c);

/* Writes an interim response (1xx), unless the client knows none of these or was told the same before. 0, or as
 * above. */
int forward_response_interim(struct http_exchange *x, const struct http_reader *r);

/* Writes the head of a 101 for the client into w->bytes. ERR_MALFORMED: the target did not take up one of the protocols
 * that were asked for. */
int forward_response_switch(struct http_reader *w, const struct http_reader *r, struct http_text asked);

/* Was a response under way? Nothing more of it is sent then, and the client sees that it was cut off. */
bool forward_response_cut(struct http_exchange *x);

#endif
