/* SPDX-License-Identifier: MIT */
/* conn_write.h - the write operation; see conn.h for what an operation is. */
#ifndef MOONPARK_CONN_WRITE_H
#define MOONPARK_CONN_WRITE_H

#include "net/conn.h"

/* The parameters of a write; the face's own may follow. op.length: how many bytes; op.total: how many were written. */
struct conn_writing {
    /* Fills in at most `max` places of iov with the bytes from op.total on. Returns how many. */
    int (*gather)(struct task *t, struct iovec *iov, int max);
};

extern const struct conn_op conn_write;

#endif
