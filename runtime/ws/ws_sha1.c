/* SPDX-License-Identifier: MIT */
/* ws_sha1.c - as the RFC writes it: once a connection, over sixty bytes, so nothing is unrolled. */
#include "ws/ws_sha1.h"

#include <string.h>

static uint32_t turn(uint32_t x, int n) { return x << n | x >> (32 - n); }

void ws_sha1_init(struct ws_sha1 *s)
{
    *s = (struct ws_sha1){.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

static void expand(uint32_t w[80], const uint8_t *block)
{
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
}

/* The function and the constant of round i. */
static uint32_t mix(int i, uint32_t b, uint32_t c, uint32_t d)
{
    if (i < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (i < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    return i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
}

static void compress(struct ws_sha1 *s, const uint8_t *block)
{
    uint32_t w[80], v[5];
    expand(w, block);
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint32_t next = turn(v[0], 5) + mix(i, v[1], v[2], v[3]) + v[4] + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = turn(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (int i = 0; i < 5; i++)
        s->h[i] += v[i];
}

void ws_sha1_add(struct ws_sha1 *s, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        size_t held = s->length % WS_SHA1_BLOCK, part = base_min(n, WS_SHA1_BLOCK - held);
        memcpy(s->block + held, at, part);
        s->length += part;
        at += part;
        n -= part;
        if (held + part == WS_SHA1_BLOCK)
            compress(s, s->block);
    }
}

void ws_sha1_end(struct ws_sha1 *s, uint8_t hash[static WS_SHA1])
{
    static const uint8_t padding[WS_SHA1_BLOCK] = {0x80};
    uint64_t bits = s->length * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    size_t held = s->length % WS_SHA1_BLOCK;
    ws_sha1_add(s, padding, held < 56 ? 56 - held : 120 - held);
    ws_sha1_add(s, length, sizeof length);
    for (int i = 0; i < WS_SHA1; i++)
        hash[i] = (uint8_t)(s->h[i / 4] >> (24 - i % 4 * 8));
}
