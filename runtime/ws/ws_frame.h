/* SPDX-License-Identifier: MIT */
/* ws_frame.h - the frames of RFC 6455: heads to structs and back, masking, codes of closing, the key of a handshake.
 *
 * Called by the other files of ws/ and the Lua face. Keeps nothing and does no I/O. */
#ifndef MOONPARK_WS_FRAME_H
#define MOONPARK_WS_FRAME_H

#include "base/base.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum {
    WS_FIN = 0x80,        /* bits of a frame's first byte; below them is the opcode */
    WS_PACKED = 0x40,     /* RSV1: the message is compressed (RFC 7692) */
    WS_HEAD_MAX = 14,     /* bytes of a head */
    WS_CONTROL_MAX = 125, /* bytes of a control frame's payload */
    WS_KEY = 4,
};

struct ws_head {
    uint64_t length; /* of the payload */
    uint8_t opcode;
    bool fin, packed, masked;
    uint8_t key[WS_KEY]; /* if masked */
};

static inline bool ws_frame_is_control(unsigned opcode) { return opcode >= WS_CLOSE; }

/* Reads the head at the first of n bytes. Returns its length; 0: incomplete; or ERR_MALFORMED, with the first byte that
 * shows it: reserved bits, an unknown opcode, a control frame that is long or a fragment, a length that is not written
 * as shortly as it can be or takes 64 bits. */
int ws_frame_parse(struct ws_head *h, const char *bytes, size_t n);

/* Writes a head to at most WS_HEAD_MAX bytes, and returns how many. first: opcode, WS_FIN, WS_PACKED. key: NULL: not
 * masked. */
size_t ws_frame_put(char *to, unsigned first, uint64_t length, const uint8_t *key);

/* Masks n bytes, or unmasks them; `offset` bytes of the frame precede them. `to` may be `from`, or lie before it. */
void ws_frame_mask(char *to, const char *from, size_t n, const uint8_t key[static WS_KEY], uint64_t offset);

/* May a peer send this code in a close frame (RFC 6455 7.4)? */
bool ws_frame_is_code(unsigned code);

/* The value of Sec-WebSocket-Accept for a key of n bytes: 28 characters, and a zero. */
enum { WS_ACCEPT = 29 };
void ws_frame_accept(char to[static WS_ACCEPT], const char *key, size_t n);

#endif
