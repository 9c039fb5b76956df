/* SPDX-License-Identifier: MIT */
/* conn_write.h - a write; see conn.h for what an operation is.
 *
 * Conn's frame holds the write side for it. */
#ifndef MOONPARK_CONN_WRITE_H
#define MOONPARK_CONN_WRITE_H

#include "net/conn.h"

/* Of a write; what is behind it is the face's. op.length: how many bytes, op.total: how many were written. */
struct conn_writing {
    int (*gather)(struct task *t, struct iovec *iov, int max); /* the bytes from op.total on: how many places of iov */
};

extern const struct conn_op conn_write;

#endif
