/* SPDX-License-Identifier: MIT */
/* ws_keys.h - the random keys that a client masks its frames with: nobody may foresee them (RFC 6455 10.3).
 *
 * Called by ws_socket and ws_send. One for each Lua state. */
#ifndef MOONPARK_WS_KEYS_H
#define MOONPARK_WS_KEYS_H

#include "ws/ws_frame.h"

/* Zeroed: empty. */
struct ws_keys {
    uint8_t bytes[256]; /* from the system; the last `left` of them are not used yet */
    size_t left;
};

/* The next key. Returns 0 or -errno. */
int ws_keys_next(struct ws_keys *k, uint8_t key[static WS_KEY]);

#endif
