/* SPDX-License-Identifier: MIT */
/* ws_deflate.c - a byte of settings, then a compressed message. However it is cut it inflates to the same, or is
 * refused for the same reason, and never to more than the limit. What it inflates to, or else the bytes themselves,
 * comes back after compressing, also as the second of two messages. */
#include "fuzz.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "ws/ws_pack.h"

enum { MOST = 20000 };

/* What buf and ws_pack need of the rest. */
const struct limits limits = {.buffer = 64};

_Noreturn void base_fail(const char *what, const char *file, int line) { fuzz_fail(what, file, line); }
void *sys_alloc(size_t n) { return calloc(1, n); }
void *sys_realloc(void *p, size_t n) { return realloc(p, n); }
void sys_free(void *p) { free(p); }

static struct ws_pack *open_pack(unsigned settings)
{
    struct ws_packing agreed = {.out_bits = (uint8_t)(9 + settings % 7), .in_bits = 15, .level = 1 + settings / 7 % 9,
                                .memory = 1 + settings / 63 % 4, .out_fresh = settings & 128,
                                .in_fresh = settings & 128};
    struct ws_pack *p = ws_pack_new(&agreed);
    check(p);
    return p;
}

/* Inflates in pieces of `step` bytes. The message is in p. */
static int inflate_by(struct ws_pack *p, const uint8_t *bytes, size_t n, size_t step)
{
    int r = 0;
    for (size_t at = 0; at < n && r == 0; at += step) {
        size_t part = base_min(step, n - at);
        char *exact = fuzz_exact(bytes + at, part);
        r = ws_pack_inflate(p, exact, part, MOST);
        free(exact);
    }
    r = r == 0 ? ws_pack_end(p, MOST) : r;
    check(r == 0 || r == ERR_MALFORMED || r == ERR_TOO_LONG);
    check(r != 0 || buf_len(&p->message) <= MOST);
    return r;
}

static void check_return(unsigned settings, const char *bytes, size_t n)
{
    struct ws_pack *p = open_pack(settings);
    for (int i = 0; i < 2; i++) {
        check(ws_pack_deflate(p, bytes, n, true) == 0);
        check(inflate_by(p, (const uint8_t *)buf_at(&p->packed), buf_len(&p->packed), 1 + settings * 7) == 0);
        check(buf_len(&p->message) == n && (n == 0 || memcmp(buf_at(&p->message), bytes, n) == 0));
        ws_pack_sent(p, true);
        ws_pack_handed(p);
    }
    ws_pack_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n == 0)
        return 0;
    unsigned settings = input[0];
    const uint8_t *bytes = input + 1;
    struct ws_pack *whole = open_pack(settings), *cut = open_pack(settings);
    int r = inflate_by(whole, bytes, n - 1, SIZE_MAX / 2);
    check(inflate_by(cut, bytes, n - 1, 1 + settings % 5) == r);
    if (r == 0) {
        size_t length = buf_len(&whole->message);
        check(buf_len(&cut->message) == length);
        check(length == 0 || memcmp(buf_at(&whole->message), buf_at(&cut->message), length) == 0);
        check_return(settings, length ? buf_at(&whole->message) : "", length);
    } else {
        check_return(settings, (const char *)bytes, n - 1);
    }
    ws_pack_free(whole);
    ws_pack_free(cut);
    return 0;
}
