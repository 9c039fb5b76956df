/* SPDX-License-Identifier: MIT */
/* h1_scan.c - the classes of bytes. */
#include "http/h1_scan.h"

#define ALNUM (TOKEN | TARGET | VALUE | HOST | SCHEME)
#define MARK (TOKEN | TARGET | VALUE)
#define SEEN (TARGET | VALUE)

/* A target has no '"', '#', '<', '>': no client may send them, and a '#' would hide what is behind it from some. The
 * other bytes that RFC 3986 wants encoded are sent by browsers as they are. */
const uint8_t h1_scan_classes[256] = {
    ['\t'] = VALUE, [' '] = VALUE,
    ['!'] = MARK | HOST, ['"'] = VALUE, ['#'] = TOKEN | VALUE, ['$'] = MARK | HOST, ['%'] = MARK,
    ['&'] = MARK | HOST, ['\''] = MARK | HOST, ['('] = SEEN | HOST, [')'] = SEEN | HOST, ['*'] = MARK | HOST,
    ['+'] = MARK | HOST | SCHEME, [','] = SEEN | HOST, ['-'] = ALNUM, ['.'] = ALNUM, ['/'] = SEEN,
    ['0' ... '9'] = ALNUM | HEX, [':'] = SEEN, [';'] = SEEN | HOST, ['<'] = VALUE, ['='] = SEEN | HOST, ['>'] = VALUE,
    ['?'] = SEEN, ['@'] = SEEN, ['A' ... 'F'] = ALNUM | HEX, ['G' ... 'Z'] = ALNUM, ['['] = SEEN, ['\\'] = SEEN,
    [']'] = SEEN, ['^'] = MARK, ['_'] = MARK | HOST, ['`'] = MARK, ['a' ... 'f'] = ALNUM | HEX, ['g' ... 'z'] = ALNUM,
    ['{'] = SEEN, ['|'] = MARK, ['}'] = SEEN, ['~'] = MARK | HOST,
    [0x80 ... 0xff] = VALUE, /* obs-text: opaque, RFC 9110 5.5 */
};
