/* SPDX-License-Identifier: MIT */
/* ws_utf8.c - what may follow a first byte is a range for the second byte, and 80 to BF for those after it. ASCII goes
 * eight bytes at a time. */
#include "ws/ws_utf8.h"

#include <string.h>

static const uint64_t HIGH_BITS = UINT64_C(0x8080808080808080);

/* How many of the first bytes are ASCII: at least all whole words that are. */
static size_t skip_ascii(const char *bytes, size_t n)
{
    size_t i = 0;
    for (uint64_t a, b; i + 16 <= n; i += 16) {
        memcpy(&a, bytes + i, 8);
        memcpy(&b, bytes + i + 8, 8);
        if ((a | b) & HIGH_BITS)
            break;
    }
    while (i < n && !(bytes[i] & 0x80))
        i++;
    return i;
}

static bool expect(struct ws_utf8 *u, int need, int low, int high)
{
    *u = (struct ws_utf8){.need = (uint8_t)need, .low = (uint8_t)low, .high = (uint8_t)high};
    return true;
}

/* The first byte of a character that is not ASCII. */
static bool begin(struct ws_utf8 *u, unsigned c)
{
    if (c >= 0xc2 && c <= 0xdf)
        return expect(u, 1, 0x80, 0xbf);
    if (c >= 0xe0 && c <= 0xef)
        return expect(u, 2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf); /* no long form, no surrogate */
    if (c >= 0xf0 && c <= 0xf4)
        return expect(u, 3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf); /* up to 10FFFF */
    return false;
}

bool ws_utf8_take(struct ws_utf8 *u, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (u->need == 0) {
            i += skip_ascii(bytes + i, n - i);
            if (i == n)
                return true;
            if (!begin(u, (unsigned char)bytes[i]))
                return false;
            continue;
        }
        unsigned c = (unsigned char)bytes[i];
        if (c < u->low || c > u->high)
            return false;
        expect(u, u->need - 1, 0x80, 0xbf);
    }
    return true;
}
