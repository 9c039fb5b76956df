/* SPDX-License-Identifier: MIT */
/* ws_frames.c - a stream of WebSocket frames. Each head is read as a reader that goes by the RFC's text would read it,
 * is incomplete until its last byte, and written again is the same. Payloads are masked byte by byte beside ours, in
 * place and moved; as text they are UTF-8 wherever they are cut, or nowhere. */
#include "fuzz.h"

#include "base/errors.h"
#include "ws/ws_frame.h"
#include "ws/ws_utf8.h"

/* What a head says, by the text of RFC 6455 5.2: its length; 0: incomplete; -1: refused. */
static int model(const uint8_t *b, size_t n, uint64_t *length)
{
    if (n < 1)
        return 0;
    unsigned opcode = b[0] & 15;
    bool fin = b[0] >> 7, control = opcode & 8;
    if (b[0] & 0x30 || (opcode > 2 && opcode < 8) || opcode > 10 || (control && (!fin || b[0] & 0x40)))
        return -1;
    if (n < 2)
        return 0;
    unsigned small = b[1] & 127;
    size_t at = small < 126 ? 2 : small == 126 ? 4 : 10;
    if (control && small > 125)
        return -1;
    if (n < at)
        return 0;
    *length = small;
    if (small > 125) {
        *length = 0;
        for (size_t i = 2; i < at; i++)
            *length = *length * 256 + b[i];
        if ((small == 126 && *length < 126) || (small == 127 && (*length < 65536 || *length >> 63)))
            return -1;
    }
    at += b[1] & 128 ? 4 : 0;
    return n < at ? 0 : (int)at;
}

static int read_head(struct ws_head *h, const uint8_t *bytes, size_t n)
{
    char *exact = fuzz_exact(bytes, n);
    int r = ws_frame_parse(h, exact, n);
    free(exact);
    return r;
}

static void check_mask(const uint8_t *bytes, size_t n, const struct ws_head *h)
{
    size_t lag = n > 0 ? bytes[0] % 40 : 0, cut = n > 1 ? bytes[1] % n : 0;
    char *room = malloc(n + lag + 1);
    check(room);
    memcpy(room + lag, bytes, n);
    ws_frame_mask(room, room + lag, cut, h->key, 0);
    ws_frame_mask(room + cut, room + lag + cut, n - cut, h->key, cut);
    for (size_t i = 0; i < n; i++)
        check((uint8_t)room[i] == (bytes[i] ^ h->key[i % 4]));
    free(room);
}

/* By the table of Unicode's chapter 3.9. */
static bool is_text(const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned c = b[i];
        size_t more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (more == 9 || i + more >= n)
            return false;
        uint32_t code = more == 0 ? c : c & (0x3f >> more);
        for (size_t k = 1; k <= more; k++) {
            if ((b[i + k] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (b[i + k] & 0x3f);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)))
            return false;
        i += more + 1;
    }
    return true;
}

static bool reads_as_text(const uint8_t *bytes, size_t n, size_t cut)
{
    struct ws_utf8 u = {0};
    char *first = fuzz_exact(bytes, cut), *second = fuzz_exact(bytes + cut, n - cut);
    bool is = ws_utf8_take(&u, first, cut) && ws_utf8_take(&u, second, n - cut) && ws_utf8_is_whole(&u);
    free(first);
    free(second);
    return is;
}

static void check_text(const uint8_t *bytes, size_t n)
{
    bool is = is_text(bytes, n);
    for (size_t cut = 0; cut <= base_min(n, 100); cut++)
        check(reads_as_text(bytes, n, cut) == is);
}

static size_t check_frame(const uint8_t *bytes, size_t n)
{
    struct ws_head h;
    uint64_t length = 0;
    char again[WS_HEAD_MAX];
    int r = read_head(&h, bytes, n), expected = model(bytes, n, &length);
    check(r == (expected < 0 ? ERR_MALFORMED : expected));
    if (r <= 0)
        return n;
    check(h.length == length);
    for (int cut = 0; cut < r; cut++)
        check(read_head(&h, bytes, (size_t)cut) == 0);
    check(read_head(&h, bytes, n) == r);
    unsigned first = h.opcode | (h.fin ? WS_FIN : 0) | (h.packed ? WS_PACKED : 0);
    check(ws_frame_put(again, first, h.length, h.masked ? h.key : NULL) == (size_t)r);
    check(memcmp(again, bytes, (size_t)r) == 0);
    size_t payload = (size_t)(length < n - (size_t)r ? length : n - (size_t)r);
    if (h.masked)
        check_mask(bytes + r, payload, &h);
    check_text(bytes + r, payload);
    return (size_t)r + payload;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    for (size_t at = 0; at < n;)
        at += check_frame(input + at, n - at);
    return 0;
}
