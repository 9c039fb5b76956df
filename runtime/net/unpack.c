/* SPDX-License-Identifier: MIT */
/* unpack.c - the format is read once into items, which may then be gone through many times.
 * A value that is not there completely uses nothing: the next try begins at the format's start. */
#include "net/unpack.h"

#include "base/errors.h"

#include <string.h>

enum { DIGITS = 15, WIDEST = 8 }; /* a double holds every integer of so many digits */

/* ---- the format ---- */

struct text {
    const char *at, *end;
};

/* The digits behind a letter. False if there are none or too many. */
static bool width(struct text *t, size_t *n)
{
    const char *first = t->at;
    for (*n = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        *n = *n * 10 + (size_t)(*t->at - '0');
    return t->at > first && t->at - first <= 9;
}

/* The width of a number or of a count, 1 to WIDEST. */
static bool sized(struct text *t, struct unpack_item *it, size_t otherwise)
{
    const char *first = t->at;
    if (width(t, &it->width) && it->width > 0)
        return it->width <= WIDEST;
    it->width = otherwise;
    return t->at == first && otherwise <= WIDEST;
}

/* 'bytes' */
static bool literal(struct text *t, struct unpack_item *it)
{
    const char *close = memchr(t->at, '\'', (size_t)(t->end - t->at));
    if (!close)
        return false;
    it->literal = t->at;
    it->width = (size_t)(close - t->at);
    t->at = close + 1;
    return true;
}

/* A group follows a whole number, and holds no other group. */
static bool bracket(struct unpack_format *f, struct unpack_item *it, int *open)
{
    if (it->letter == '(') {
        if (*open >= 0 || f->count == 0 || !f->items[f->count - 1].counts)
            return false;
        *open = f->count;
        return true;
    }
    if (*open < 0)
        return false;
    it->width = (size_t)*open;
    f->items[*open].width = (size_t)f->count;
    *open = -1;
    return true;
}

/* A number of bytes, or of as many as follow the letter. */
static bool counting(struct text *t, struct unpack_item *it, size_t bytes)
{
    it->counts = true;
    it->width = bytes;
    return bytes > 0 || sized(t, it, 4);
}

static bool read_item(struct unpack_format *f, struct text *t, struct unpack_item *it, int *open)
{
    it->letter = *t->at++;
    it->counts = false;
    it->width = 0;
    switch (it->letter) {
    case 'b': case 'B': return counting(t, it, 1);
    case 'h': case 'H': return counting(t, it, 2);
    case 'i': case 'I': return counting(t, it, 0);
    case 's': return sized(t, it, WIDEST + 1);
    case 'S': return sized(t, it, 0);
    case 'c': return width(t, &it->width);
    case '\'': return literal(t, it);
    case '(': case ')': return bracket(f, it, open);
    case 'f': it->width = 4; return true;
    case 'd': it->width = 8; return true;
    case 'D': case 'v': it->counts = true; return true;
    case '<': case '>': case 'x': case 'z': case 'V': return true;
    default: return false;
    }
}

const char *unpack_read(struct unpack_format *f, const char *text, size_t length)
{
    struct text t = {.at = text, .end = text + length};
    int open = -1;
    for (f->count = 0;; f->count++) {
        while (t.at < t.end && *t.at == ' ')
            t.at++;
        const char *first = t.at;
        if (first == t.end)
            return open < 0 ? NULL : first;
        if (f->count == UNPACK_ITEMS || !read_item(f, &t, &f->items[f->count], &open))
            return first;
    }
}

/* ---- the bytes ---- */

static int missing(struct unpack *u, size_t from, size_t n)
{
    u->needed = n > SIZE_MAX - from ? SIZE_MAX : from + n;
    return UNPACK_SHORT;
}

static bool there(const struct unpack *u, size_t n) { return u->length - u->at >= n; }

static uint64_t integer(const char *bytes, size_t n, bool big)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x = x << 8 | (uint8_t)bytes[big ? i : n - 1 - i];
    return x;
}

static int64_t with_sign(uint64_t x, size_t n)
{
    unsigned unused = 64 - 8 * (unsigned)n;
    return (int64_t)(x << unused) >> unused;
}

/* A count that no buffer will ever hold is as good as the largest: nothing is computed with it that overflows. */
static int64_t as_count(uint64_t x) { return x > INT64_MAX ? INT64_MAX : (int64_t)x; }

static int take_integer(struct unpack *u, const struct unpack_item *it, struct unpack_value *v)
{
    if (!there(u, it->width))
        return missing(u, u->at, it->width);
    uint64_t x = integer(u->bytes + u->at, it->width, u->big);
    bool is_signed = it->letter == 'b' || it->letter == 'h' || it->letter == 'i';
    u->at += it->width;
    u->count = is_signed ? with_sign(x, it->width) : as_count(x);
    v->number = is_signed ? (double)u->count : (double)x;
    return UNPACK_NUMBER;
}

static int take_float(struct unpack *u, const struct unpack_item *it, struct unpack_value *v)
{
    size_t n = it->width;
    if (!there(u, n))
        return missing(u, u->at, n);
    uint64_t bits = integer(u->bytes + u->at, n, u->big);
    uint32_t half = (uint32_t)bits;
    float single;
    memcpy(&single, &half, sizeof single);
    memcpy(&v->number, &bits, sizeof v->number);
    if (n == sizeof single)
        v->number = single;
    u->at += n;
    return UNPACK_NUMBER;
}

/* "-12\r\n": as it is written shortest, so that no two readers can see two numbers in it. */
static int take_decimal(struct unpack *u, int64_t *n)
{
    const char *s = u->bytes + u->at, *end = u->bytes + u->length;
    if (end - s > 2 && s[0] > '0' && s[0] <= '9' && s[1] == '\r' && s[2] == '\n') { /* most have one digit */
        *n = s[0] - '0';
        u->at += 3;
        return UNPACK_NUMBER;
    }
    bool negative = s < end && *s == '-';
    const char *first = s += negative;
    int64_t x = 0;
    for (; s < end && *s >= '0' && *s <= '9'; s++) {
        if (s - first == DIGITS)
            return ERR_MALFORMED;
        x = x * 10 + (*s - '0');
    }
    if (s > first && *first == '0' && (negative || s - first > 1))
        return ERR_MALFORMED;
    if (s < end && (s == first || *s != '\r'))
        return ERR_MALFORMED;
    if (end - s < 2)
        return missing(u, (size_t)(s - u->bytes), 2);
    if (s[1] != '\n')
        return ERR_MALFORMED;
    u->at = (size_t)(s - u->bytes) + 2;
    *n = negative ? -x : x;
    return UNPACK_NUMBER;
}

static int take_string(struct unpack *u, uint64_t n, size_t behind, struct unpack_value *v)
{
    size_t all = n > SIZE_MAX - behind ? SIZE_MAX : (size_t)n + behind;
    if (!there(u, all))
        return missing(u, u->at, all);
    *v = (struct unpack_value){.bytes = u->bytes + u->at, .length = (size_t)n};
    u->at += all;
    return UNPACK_STRING;
}

static int take_counted(struct unpack *u, const struct unpack_item *it, struct unpack_value *v)
{
    bool optional = it->letter == 'S';
    if (!there(u, it->width))
        return missing(u, u->at, it->width);
    uint64_t n = integer(u->bytes + u->at, it->width, u->big);
    u->at += it->width;
    if (optional && with_sign(n, it->width) < 0)
        return with_sign(n, it->width) == -1 ? UNPACK_NIL : ERR_MALFORMED;
    return take_string(u, n, 0, v);
}

/* A decimal line, so many bytes, and the end of a line. */
static int take_line_counted(struct unpack *u, struct unpack_value *v)
{
    int64_t n;
    int r = take_decimal(u, &n);
    if (r != UNPACK_NUMBER)
        return r;
    if (n < 0)
        return n == -1 ? UNPACK_NIL : ERR_MALFORMED;
    r = take_string(u, (uint64_t)n, 2, v);
    if (r == UNPACK_STRING && memcmp(v->bytes + n, "\r\n", 2) != 0)
        return ERR_MALFORMED;
    return r;
}

/* MySQL's length-encoded integer: one byte below 251, or which of 2, 3 or 8 follow; 251 stands for NULL. */
static int take_length(struct unpack *u, uint64_t *n)
{
    if (!there(u, 1))
        return missing(u, u->at, 1);
    uint8_t mark = (uint8_t)u->bytes[u->at];
    size_t more = mark < 0xfb ? 0 : mark == 0xfe ? 8 : mark - 0xfau;
    if (mark == 0xff)
        return ERR_MALFORMED;
    if (mark == 0xfb)
        more = 0;
    if (!there(u, 1 + more))
        return missing(u, u->at, 1 + more);
    *n = more ? integer(u->bytes + u->at + 1, more, false) : mark;
    u->at += 1 + more;
    return mark == 0xfb ? UNPACK_NIL : UNPACK_NUMBER;
}

static int take_length_encoded(struct unpack *u, const struct unpack_item *it, struct unpack_value *v)
{
    uint64_t n = 0;
    int r = take_length(u, &n);
    if (r == UNPACK_NUMBER && it->letter == 'V')
        return take_string(u, n, 0, v);
    u->count = as_count(n);
    v->number = (double)n;
    return r;
}

static int take_terminated(struct unpack *u, struct unpack_value *v)
{
    const char *from = u->bytes + u->at;
    const char *zero = there(u, 1) ? memchr(from, 0, u->length - u->at) : NULL;
    return zero ? take_string(u, (uint64_t)(zero - from), 1, v) : missing(u, u->length, 1);
}

static int take_literal(struct unpack *u, const struct unpack_item *it)
{
    size_t n = base_min(it->width, u->length - u->at);
    if (n && memcmp(u->bytes + u->at, it->literal, n) != 0)
        return ERR_MALFORMED;
    if (n < it->width)
        return missing(u, u->at, it->width);
    u->at += n;
    return UNPACK_END;
}

/* ---- both ---- */

static int begin_group(struct unpack *u, const struct unpack_item *it)
{
    if (u->count > UNPACK_VALUES)
        return ERR_TOO_LONG;
    u->rounds = u->count;
    if (u->rounds <= 0)
        u->item = (int)it->width + 1;
    return UNPACK_END;
}

static int end_round(struct unpack *u, const struct unpack_item *it)
{
    if (--u->rounds > 0)
        u->item = (int)it->width + 1;
    return UNPACK_END;
}

/* UNPACK_END: it has no value. */
static int take(struct unpack *u, const struct unpack_item *it, struct unpack_value *v)
{
    int r;
    switch (it->letter) {
    case '<': case '>':
        u->big = it->letter == '>';
        return UNPACK_END;
    case 'f': case 'd': return take_float(u, it, v);
    case 's': return take_counted(u, it, v);
    case 'S': return it->width ? take_counted(u, it, v) : take_line_counted(u, v);
    case 'c': return take_string(u, it->width, 0, v);
    case 'z': return take_terminated(u, v);
    case 'v': case 'V': return take_length_encoded(u, it, v);
    case '\'': return take_literal(u, it);
    case '(': return begin_group(u, it);
    case ')': return end_round(u, it);
    case 'x':
        r = take_string(u, 1, 0, v);
        return r == UNPACK_STRING ? UNPACK_END : r;
    case 'D':
        r = take_decimal(u, &u->count);
        v->number = (double)u->count;
        return r;
    default: return take_integer(u, it, v);
    }
}

void unpack_init(struct unpack *u, const struct unpack_format *f, const char *bytes, size_t length, size_t at)
{
    *u = (struct unpack){.format = f, .bytes = bytes, .length = length, .at = at, .needed = at + 1};
}

int unpack_next(struct unpack *u, struct unpack_value *v)
{
    int r = UNPACK_END;
    while (r == UNPACK_END) {
        if (u->item == u->format->count)
            return UNPACK_END;
        const struct unpack_item *it = &u->format->items[u->item++];
        r = take(u, it, v);
    }
    if (r < 0 || r == UNPACK_SHORT)
        return r;
    return ++u->values > UNPACK_VALUES ? ERR_TOO_LONG : r;
}

int unpack_all(struct unpack *u)
{
    struct unpack_value v;
    int r;
    do
        r = unpack_next(u, &v);
    while (r > UNPACK_END && r != UNPACK_SHORT);
    return r;
}
