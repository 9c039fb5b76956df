/* SPDX-License-Identifier: MIT */
/* stream.h - the contract of a byte stream: what conn needs of a socket, an in-memory pair, or a
 * stream over another stream.
 *
 * Nothing here waits: -EAGAIN says "not now", and `again` which side must become ready. */
#ifndef MOONPARK_STREAM_H
#define MOONPARK_STREAM_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

struct pollDesc;
struct stream;

struct stream_ops {
    const char *name; /* "tcp", "unix", "pipe" */
    bool plain;       /* the descriptor's bytes are the stream's: sendfile and splice may move them */
    bool drains;      /* a short read proves that nothing is left: the next read may park untried */

    /* Bytes moved; read: 0 at the end of the stream; -EAGAIN; or another -errno. */
    ssize_t (*read)(struct stream *s, void *bytes, size_t n);
    ssize_t (*write)(struct stream *s, const struct iovec *iov, int count);

    /* Would the side (0 read, 1 write) get further now? 1, 0 or -errno. */
    int (*ready)(struct stream *s, int side);

    /* What it is, in words for a person, where its addresses do not say it; or NULL. */
    size_t (*describe)(const struct stream *s, char *text, size_t n);

    int (*close_write)(struct stream *s); /* the peer reads an end after what was written */
    void (*close)(struct stream *s);      /* gives everything back; called once */
};

struct stream {
    const struct stream_ops *ops;
    struct pollDesc *pd; /* NULL until somebody parks or sets a deadline */
    void *own;           /* the implementation's */
    int fd;              /* -1: no descriptor */
    uint8_t again;       /* after -EAGAIN: the side to wait for */
};

#endif
