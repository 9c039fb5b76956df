/* SPDX-License-Identifier: MIT */
/* ws_sha1.h - SHA-1 (RFC 3174), which the handshake of WebSocket asks for and which protects nothing there.
 *
 * Called by ws_frame. */
#ifndef MOONPARK_WS_SHA1_H
#define MOONPARK_WS_SHA1_H

#include "base/base.h"

enum { WS_SHA1 = 20, WS_SHA1_BLOCK = 64 };

struct ws_sha1 {
    uint32_t h[5];
    uint64_t length; /* bytes so far */
    uint8_t block[WS_SHA1_BLOCK];
};

void ws_sha1_init(struct ws_sha1 *s);
void ws_sha1_add(struct ws_sha1 *s, const void *bytes, size_t n);
void ws_sha1_end(struct ws_sha1 *s, uint8_t hash[static WS_SHA1]);

#endif
