/* SPDX-License-Identifier: MIT */
/* h1_parse_chunk.c - parses the lines around the data of a chunked body a byte at a time: they are short, and the state
 * survives the end of a packet anywhere. The data itself is only counted. */
#include "http/h1_parse.h"

#include "http/h1_scan.h"

enum {
    SIZE,
    EXT,         /* behind ';': a name must come */
    EXT_NAME,
    EXT_NAMED,   /* behind a name and a blank */
    EXT_EQUALS,  /* behind '=': a token or a quoted string must come */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED, /* behind a backslash in it */
    PART_OVER,   /* behind the size or an extension, where nothing can be added to it */
    SIZE_LF,
    BODY,
    BODY_CR,
    BODY_LF,
    OVER,
};

/* Extensions are skipped and never understood, so they and the blanks around them may be as long as the data, and
 * EXTENSION_MAX more: else a client that wraps each byte in a long line keeps us busy for nothing. Zeros in front of a
 * size are digits too. */
enum { EXTENSION_MAX = 4096, SIZE_DIGITS = 15 };

/* The value of a hexadecimal digit, or -1. */
static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Where a byte of what follows the size leads, or HTTP_BAD_CHUNK. RFC 9112 7.1.1:
 *   *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
 * and blanks before the line's end, too, because some old servers pad their sizes. A blank is a space or a tab, so no
 * line ends sooner or later for it. */
static int next_of(int state, char byte)
{
    bool ends = byte == '\r' || byte == ';', blank = is_blank(byte);
    int behind = byte == '\r' ? SIZE_LF : EXT;
    switch (state) {
    case EXT: return is(byte, TOKEN) ? EXT_NAME : blank ? EXT : HTTP_BAD_CHUNK;
    case EXT_NAME:
        if (is(byte, TOKEN))
            return EXT_NAME;
        return next_of(EXT_NAMED, byte);
    case EXT_NAMED: return byte == '=' ? EXT_EQUALS : blank ? EXT_NAMED : ends ? behind : HTTP_BAD_CHUNK;
    case EXT_EQUALS:
        if (blank || byte == '"')
            return blank ? EXT_EQUALS : EXT_QUOTED;
        return is(byte, TOKEN) ? EXT_TOKEN : HTTP_BAD_CHUNK;
    case EXT_TOKEN:
        if (is(byte, TOKEN))
            return EXT_TOKEN;
        return next_of(PART_OVER, byte);
    case EXT_QUOTED:
        if (byte == '"' || byte == '\\')
            return byte == '"' ? PART_OVER : EXT_ESCAPED;
        return is(byte, VALUE) ? EXT_QUOTED : HTTP_BAD_CHUNK;
    case EXT_ESCAPED: return is(byte, VALUE) ? EXT_QUOTED : HTTP_BAD_CHUNK;
    default: return blank ? PART_OVER : ends ? behind : HTTP_BAD_CHUNK; /* SIZE, PART_OVER */
    }
}

/* One byte of the line with the size: 1, or why not. */
static int take_size(struct http_chunks *c, char byte)
{
    if (c->state == SIZE_LF) {
        c->state = c->left > 0 ? BODY : OVER;
        c->digits = 0;
        c->extra -= (uint16_t)base_min(c->extra, c->left);
        return byte == '\n' ? 1 : HTTP_BAD_CHUNK;
    }
    if (c->state == SIZE && hex(byte) >= 0) {
        c->left = c->left * 16 + (uint64_t)hex(byte);
        return ++c->digits <= SIZE_DIGITS ? 1 : HTTP_BAD_CHUNK;
    }
    int next = c->digits > 0 ? next_of(c->state, byte) : HTTP_BAD_CHUNK;
    if (next < 0)
        return HTTP_BAD_CHUNK;
    c->state = (uint8_t)next;
    return next == SIZE_LF || ++c->extra <= EXTENSION_MAX ? 1 : HTTP_BAD_CHUNK;
}

/* One byte behind the data. */
static int take_data_end(struct http_chunks *c, char byte)
{
    if (byte != (c->state == BODY_CR ? '\r' : '\n'))
        return HTTP_BAD_CHUNK;
    c->state = c->state == BODY_CR ? BODY_LF : SIZE;
    return 1;
}

int h1_parse_chunk(struct http_chunks *c, const char *bytes, size_t n, size_t *used, struct http_span *data)
{
    *used = 0;
    while (*used < n && c->state != OVER && c->state != BODY) {
        char byte = bytes[(*used)++];
        int got = c->state >= BODY_CR ? take_data_end(c, byte) : take_size(c, byte);
        if (got <= 0)
            return got;
    }
    if (c->state == OVER)
        return HTTP_TRAILERS;
    if (c->state != BODY || *used == n)
        return HTTP_MORE;
    size_t length = base_min(n - *used, base_min(c->left, INT32_MAX));
    *data = (struct http_span){.at = (uint32_t)*used, .length = (uint32_t)length};
    *used += length;
    c->left -= length;
    if (c->left == 0)
        c->state = BODY_CR;
    return HTTP_DATA;
}
