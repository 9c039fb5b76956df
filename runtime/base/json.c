/* SPDX-License-Identifier: MIT */
/* json.c - strings are copied in runs of bytes that need no escape; a table says which ones do. */
#include "base/json.h"

#include "base/decimal.h"

#include <errno.h>
#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

enum { ESCAPE_MAX = 6 }; /* \u001f */

/* What stands after the backslash; 'u': its number in four digits; '<': the byte is itself, but a slash that comes next
 * is escaped; 0: the byte needs no escape. */
static const char escapes[256] = {
    [0] = 'u',     [1] = 'u',     [2] = 'u',    [3] = 'u',    [4] = 'u',    [5] = 'u',    [6] = 'u',    [7] = 'u',
    ['\b'] = 'b',  ['\t'] = 't',  ['\n'] = 'n', [11] = 'u',   ['\f'] = 'f', ['\r'] = 'r', [14] = 'u',   [15] = 'u',
    [16] = 'u',    [17] = 'u',    [18] = 'u',   [19] = 'u',   [20] = 'u',   [21] = 'u',   [22] = 'u',   [23] = 'u',
    [24] = 'u',    [25] = 'u',    [26] = 'u',   [27] = 'u',   [28] = 'u',   [29] = 'u',   [30] = 'u',   [31] = 'u',
    ['"'] = '"',   ['\\'] = '\\', ['<'] = '<',  [127] = 'u',
};

/* Copies bytes up to the first that may need an escape, at most n. Returns how many. Sixteen are looked at together,
 * and written even if one of them ends the run: there is room for n. */
static size_t copy_plain(char *to, const char *bytes, size_t n)
{
    size_t at = 0;
    for (bytes16 v; n - at >= sizeof v; at += sizeof v) {
        memcpy(&v, bytes + at, sizeof v);
        memcpy(to + at, &v, sizeof v);
        words2 hit = (words2)((v < ' ') | (v == '"') | (v == '<') | (v == '\\') | (v == 127));
        if (hit[0] | hit[1])
            break;
    }
    for (; at < n && !escapes[(uint8_t)bytes[at]]; at++)
        to[at] = bytes[at];
    return at;
}

/* What stands for the byte; `next` is the one behind it. Returns its length. */
static size_t put_escape(char *to, uint8_t byte, char next)
{
    static const char digits[] = "0123456789abcdef";
    if (escapes[byte] == '<') {
        memcpy(to, "<\\", 2);
        return next == '/' ? 2 : 1; /* the slash goes through as it is */
    }
    to[0] = '\\';
    to[1] = escapes[byte];
    if (escapes[byte] != 'u')
        return 2;
    to[2] = to[3] = '0';
    to[4] = digits[byte >> 4];
    to[5] = digits[byte & 15];
    return ESCAPE_MAX;
}

int json_string(struct buf *b, const char *bytes, size_t n)
{
    char *to = buf_reserve(b, n + 2);
    if (!to)
        return -ENOMEM;
    size_t from = copy_plain(to + 1, bytes, n), length = from + 1;
    *to = '"';
    while (from < n) { /* at a byte that may need an escape */
        buf_commit(b, length);
        to = buf_reserve(b, ESCAPE_MAX + n - from);
        if (!to)
            return -ENOMEM;
        length = put_escape(to, (uint8_t)bytes[from], from + 1 < n ? bytes[from + 1] : 0);
        from++;
        size_t run = copy_plain(to + length, bytes + from, n - from);
        length += run;
        from += run;
    }
    to[length] = '"';
    buf_commit(b, length + 1);
    return 0;
}

int json_number(struct buf *b, double x)
{
    char *to = buf_reserve(b, DECIMAL_MAX);
    if (!to)
        return -ENOMEM;
    buf_commit(b, decimal_write(to, x));
    return 0;
}
