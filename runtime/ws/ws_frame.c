/* SPDX-License-Identifier: MIT */
/* ws_frame.c - masking works on vectors of 16 bytes, loaded and stored at any address. The key's turn is worked into
 * the vector once, since 16 is a multiple of its length. */
#include "ws/ws_frame.h"

#include "base/errors.h"
#include "ws/ws_sha1.h"

#include <string.h>

enum { MASKED = 0x80, RESERVED = 0x30, LENGTH_16 = 126, LENGTH_64 = 127 };

typedef uint8_t vector __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));

static uint64_t big_endian(const unsigned char *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | at[i];
    return value;
}

static bool is_first_byte(unsigned first)
{
    unsigned opcode = first & 0x0f;
    if (first & RESERVED || (opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return false;
    return !ws_frame_is_control(opcode) || (first & WS_FIN && !(first & WS_PACKED));
}

/* What the head's second byte says of those after it. */
static size_t length_bytes(unsigned second)
{
    unsigned length = second & 0x7f;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

static bool is_shortest(uint64_t length, size_t bytes)
{
    return bytes == 0 || (bytes == 2 ? length >= LENGTH_16 : length > 0xffff && length >> 63 == 0);
}

int ws_frame_parse(struct ws_head *h, const char *bytes, size_t n)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (n > 0 && !is_first_byte(at[0]))
        return ERR_MALFORMED;
    if (n < 2)
        return 0;
    size_t more = length_bytes(at[1]), size = 2 + more + (at[1] & MASKED ? WS_KEY : 0);
    if (more > 0 && ws_frame_is_control(at[0] & 0x0f))
        return ERR_MALFORMED;
    if (n < 2 + more)
        return 0;
    h->length = more ? big_endian(at + 2, more) : at[1] & 0x7f;
    if (!is_shortest(h->length, more))
        return ERR_MALFORMED;
    if (n < size)
        return 0;
    h->opcode = at[0] & 0x0f;
    h->fin = at[0] & WS_FIN;
    h->packed = at[0] & WS_PACKED;
    h->masked = at[1] & MASKED;
    if (h->masked)
        memcpy(h->key, at + 2 + more, WS_KEY);
    return (int)size;
}

size_t ws_frame_put(char *to, unsigned first, uint64_t length, const uint8_t *key)
{
    size_t more = length < LENGTH_16 ? 0 : length <= 0xffff ? 2 : 8, n = 2;
    to[0] = (char)first;
    to[1] = (char)((more == 0 ? length : more == 2 ? LENGTH_16 : LENGTH_64) | (key ? MASKED : 0));
    for (size_t i = more; i-- > 0;)
        to[n++] = (char)(length >> 8 * i);
    if (key) {
        memcpy(to + n, key, WS_KEY);
        n += WS_KEY;
    }
    return n;
}

static inline vector load(const char *at)
{
    vector v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline void store(char *at, vector v) { memcpy(at, &v, sizeof v); }

void ws_frame_mask(char *to, const char *from, size_t n, const uint8_t key[static WS_KEY], uint64_t offset)
{
    uint8_t turned[WS_KEY];
    uint32_t word;
    size_t i = 0;
    for (size_t k = 0; k < WS_KEY; k++)
        turned[k] = key[(offset + k) % WS_KEY];
    memcpy(&word, turned, sizeof word);
    const vector mask = (vector)(words){word, word, word, word};
    for (; i + 64 <= n; i += 64) { /* all loads first: `to` may lie a few bytes before `from` */
        vector a = load(from + i), b = load(from + i + 16), c = load(from + i + 32), d = load(from + i + 48);
        store(to + i, a ^ mask);
        store(to + i + 16, b ^ mask);
        store(to + i + 32, c ^ mask);
        store(to + i + 48, d ^ mask);
    }
    for (; i + 16 <= n; i += 16)
        store(to + i, load(from + i) ^ mask);
    for (; i < n; i++)
        to[i] = (char)(from[i] ^ turned[i % WS_KEY]);
}

bool ws_frame_is_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

void ws_frame_accept(char to[static WS_ACCEPT], const char *key, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t hash[WS_SHA1 + 1] = {0};
    struct ws_sha1 s;
    ws_sha1_init(&s);
    ws_sha1_add(&s, key, n);
    ws_sha1_add(&s, magic, sizeof magic - 1);
    ws_sha1_end(&s, hash);
    for (size_t i = 0; i < WS_SHA1 + 1; i += 3) {
        unsigned bits = (unsigned)hash[i] << 16 | (unsigned)hash[i + 1] << 8 | hash[i + 2];
        for (int k = 0; k < 4; k++)
            *to++ = letters[bits >> (18 - 6 * k) & 63];
    }
    to[-1] = '=';
    to[0] = 0;
}
