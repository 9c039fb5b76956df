/* SPDX-License-Identifier: MIT */
/* unpack.h - numbers and strings out of bytes, as a format says: the letters of Lua 5.3's string.unpack and a few more.
 *
 * Called by conn_fill.c and the face. Owns nothing: values point into the bytes, which come from a stranger; the format
 * is the script's. docs/net.md has the letters. */
#ifndef MOONPARK_UNPACK_H
#define MOONPARK_UNPACK_H

#include "base/base.h"

enum {
    UNPACK_VALUES = 250, /* the most values of one unpacking, and the most rounds of a group: a peer says how many */
    UNPACK_ITEMS = 64,   /* the most items of a format */
};

/* What unpack_next finds. */
enum {
    UNPACK_END,    /* of the format */
    UNPACK_NUMBER, /* value.number */
    UNPACK_STRING, /* value.bytes, value.length */
    UNPACK_NIL,    /* a value that the peer has left out */
    UNPACK_SHORT,  /* bytes are missing: nothing can be said before `needed` of them are there */
};

struct unpack_value {
    double number;
    const char *bytes;
    size_t length;
};

struct unpack_item {
    size_t width; /* bytes of a number, a count or a string, 0: none was named; of a bracket: where the other one is */
    const char *literal; /* width bytes */
    char letter;
    bool counts; /* a whole number: a group may follow */
};

/* A format that was read. It points into the text. */
struct unpack_format {
    int count;
    struct unpack_item items[UNPACK_ITEMS];
};

struct unpack {
    const struct unpack_format *format;
    int item; /* the next one */
    int values;
    const char *bytes;
    size_t length; /* bytes there */
    size_t at;     /* bytes used so far */
    size_t needed;
    int64_t rounds; /* of the group it is in, this one included */
    int64_t count;  /* the last whole number */
    bool big;       /* big-endian */
};

/* Reads a format. NULL, or the place of what is wrong. */
const char *unpack_read(struct unpack_format *f, const char *text, size_t length);

/* Begins with the bytes from `at` on; the format and the bytes stay the caller's. */
void unpack_init(struct unpack *u, const struct unpack_format *f, const char *bytes, size_t length, size_t at);

/* The next value: one of the above; ERR_MALFORMED: the bytes are not what the format says; ERR_TOO_LONG: more values
 * than UNPACK_VALUES. */
int unpack_next(struct unpack *u, struct unpack_value *v);

/* All values: UNPACK_END or what came instead. */
int unpack_all(struct unpack *u);

#endif
