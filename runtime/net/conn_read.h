/* SPDX-License-Identifier: MIT */
/* conn_read.h - the read operations; see conn.h for what an operation is and where its result goes. */
#ifndef MOONPARK_CONN_READ_H
#define MOONPARK_CONN_READ_H

#include "net/conn.h"

/* The default limits of conn_read_line, conn_read_until and conn_read_all, in bytes. */
enum { CONN_LINE_MAX = 65536, CONN_UNTIL_MAX = 1048576, CONN_ALL_MAX = 67108864 };

/* The parameters of a read. */
struct conn_reading {
    size_t limit; /* the most bytes; for conn_read_exactly: exactly how many */
    bool held;    /* the bytes are in `in`; only those of conn_read may be in scratch instead */
};

/* The parameters of conn_read_until. */
struct conn_reading_until {
    struct conn_reading reading;
    const char *delimiter;
    size_t delimiter_length;
};

/* All set op.length, the bytes to hand out, and op.total, the bytes to consume then. */
extern const struct conn_op conn_read, conn_read_exactly, conn_read_line, conn_receive_line, conn_read_until,
    conn_read_all;

/* For the steps of other files. Reads once from the stream into `in`, where it makes room for at least `room` bytes.
 * Returns CONN_GO_ON, -EAGAIN, ERR_EOF, or another negative code. */
int conn_read_fill(struct conn *c, size_t room);

/* Reads once from a stream that has not ended to somewhere else. Returns how many bytes, 0 at its end, or a negative
 * code. */
ssize_t conn_receive(struct conn *c, void *to, size_t n);

#endif
