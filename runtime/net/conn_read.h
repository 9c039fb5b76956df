/* SPDX-License-Identifier: MIT */
/* conn_read.h - the reads; see conn.h for what an operation is and where its result goes.
 *
 * Conn's frame holds the read side for them. */
#ifndef MOONPARK_CONN_READ_H
#define MOONPARK_CONN_READ_H

#include "net/conn.h"

/* The default limits of conn_read_line, conn_read_until and conn_read_all, in bytes. */
enum { CONN_LINE_MAX = 65536, CONN_UNTIL_MAX = 1048576, CONN_ALL_MAX = 67108864 };

/* Of a read. */
struct conn_reading {
    size_t limit; /* bytes, at most; of conn_read_exactly: how many */
    bool held;    /* conn_read: its bytes lie in `in`, as all other reads' do; else in scratch */
};

/* Of conn_read_until. */
struct conn_reading_until {
    struct conn_reading reading;
    const char *delimiter;
    size_t delimiter_length;
};

/* All give op.length bytes, and op.total to consume. */
extern const struct conn_op conn_read, conn_read_exactly, conn_read_line, conn_read_until, conn_read_all;

/* For steps of other files: one read from the stream into `in`, for which there is room for at least so many bytes.
 * CONN_GO_ON, -EAGAIN, ERR_EOF, or why not. */
int conn_read_fill(struct conn *c, size_t room);

/* One read from a stream that has not ended to somewhere else: how many bytes, 0: it ends here, or why not. */
ssize_t conn_receive(struct conn *c, void *to, size_t n);

#endif
