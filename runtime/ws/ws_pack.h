/* SPDX-License-Identifier: MIT */
/* ws_pack.h - permessage-deflate (RFC 7692): the messages of one WebSocket, compressed and inflated.
 *
 * Called by ws_receive, ws_send, ws_group and ws_socket. What zlib needs is allocated with the first message of a
 * direction. With context takeover it stays, because the next message may refer to the last one; without, it is freed
 * after each message. */
#ifndef MOONPARK_WS_PACK_H
#define MOONPARK_WS_PACK_H

#include "base/buf.h"

/* What both ends have agreed on. */
struct ws_packing {
    uint8_t out_bits, in_bits;  /* windows, 9 .. 15; of what we send, and of what we receive */
    bool out_fresh, in_fresh;   /* no context takeover */
    uint8_t level;              /* of compressing, 1 .. 9 */
    uint8_t memory;             /* zlib's memLevel, 1 .. 9 */
    uint32_t least;             /* bytes: shorter messages are not compressed */
};

struct ws_deflate;

struct ws_pack {
    struct ws_packing agreed;
    struct ws_deflate *out, *in; /* NULL: not begun, or freed */
    struct buf packed;           /* the message that is being sent */
    struct buf message;          /* the one that is being received */
    uint64_t came;               /* compressed bytes of that */
    bool skewed;                 /* the peer's window is not what `out` knows: the next message refers to nothing */
    bool open;                   /* fragments of a message were compressed, and its last was not */
};

/* NULL: no memory. */
struct ws_pack *ws_pack_new(const struct ws_packing *agreed);
void ws_pack_free(struct ws_pack *p);

/* Compresses n bytes into `packed`, which it empties before; last: they end the message. Returns 0 or -ENOMEM, and then
 * nothing that was compressed before may be referred to (skewed). */
int ws_pack_deflate(struct ws_pack *p, const char *bytes, size_t n, bool last);

/* The message in `packed` was sent, or never will be. */
void ws_pack_sent(struct ws_pack *p, bool was_sent);

/* Inflates n bytes and appends what they give to `message`, but no more than `most` bytes. Returns 0; ERR_TOO_LONG;
 * ERR_MALFORMED; -ENOMEM. */
int ws_pack_inflate(struct ws_pack *p, const char *bytes, size_t n, uint64_t most);

/* The message's last byte was inflated: inflates what the sender has left out. As ws_pack_inflate. */
int ws_pack_end(struct ws_pack *p, uint64_t most);

/* The message was handed out. */
void ws_pack_handed(struct ws_pack *p);

#endif
