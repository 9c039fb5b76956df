/* SPDX-License-Identifier: MIT */
/* unpacking.c - a byte that says how long the format is, the format, and the bytes it is for. Each beginning of the
 * bytes asks for more, but never for more than the whole used, or ends as the whole does. */
#include "fuzz.h"

#include "base/errors.h"
#include "net/unpack.h"

struct result {
    int end, values;
    size_t at, needed;
};

static struct result unpacked(const struct unpack_format *f, const char *bytes, size_t n)
{
    char *exact = fuzz_exact(bytes, n);
    struct unpack u;
    struct unpack_value v;
    int r;
    unpack_init(&u, f, exact, n, 0);
    while ((r = unpack_next(&u, &v)) > UNPACK_END && r != UNPACK_SHORT) {
        check(r == UNPACK_NUMBER || r == UNPACK_STRING || r == UNPACK_NIL);
        check(u.at <= n && u.values <= UNPACK_VALUES);
        check(r != UNPACK_STRING || (v.bytes >= exact && v.length <= (size_t)(exact + n - v.bytes)));
    }
    check(r == UNPACK_END || r == UNPACK_SHORT || r == ERR_MALFORMED || r == ERR_TOO_LONG);
    check(u.at <= n && (r != UNPACK_SHORT || u.needed > n));
    free(exact);
    return (struct result){.end = r, .values = u.values, .at = u.at, .needed = u.needed};
}

static void compare(const struct result *whole, struct result part, size_t n)
{
    if (part.end == UNPACK_SHORT) {
        check(whole->end == UNPACK_SHORT ? part.needed <= whole->needed
                                         : whole->end != UNPACK_END || part.needed <= whole->at);
        return;
    }
    check(part.end == whole->end && part.values == whole->values && part.at == whole->at && part.at <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct unpack_format f;
    size_t length = n > 0 ? base_min(input[0], n - 1) : 0;
    char *text = fuzz_exact(n > 0 ? input + 1 : input, length);
    const char *wrong = unpack_read(&f, text, length);
    if (wrong)
        check(wrong >= text && wrong <= text + length);
    else if (n > 0) {
        const char *bytes = (const char *)input + 1 + length;
        struct result whole = unpacked(&f, bytes, n - 1 - length);
        for (size_t cut = 0; cut < base_min(n - 1 - length, 200); cut++)
            compare(&whole, unpacked(&f, bytes, cut), cut);
    }
    free(text);
    return 0;
}
