/* SPDX-License-Identifier: MIT */
/* conn_write.c - the strings of a call are written as one vector, repeatedly while the stream has room. */
#include "net/conn_write.h"

#include "loop/sched.h"
#include "net/conn_time.h"

enum { WRITE_VECTOR = 1024 };

static int write_strings(struct conn *c, struct task *t)
{
    struct iovec iov[WRITE_VECTOR];
    if (t->op.total == t->op.length) /* of nothing: what an earlier write has left in the stream leaves */
        return c->stream.ops->covers ? (int)c->stream.ops->write(&c->stream, NULL, 0) : 0;
    int count = OPERATION(t, struct conn_writing)->gather(t, iov, WRITE_VECTOR);
    ssize_t sent = c->stream.ops->write(&c->stream, iov, count);
    if (sent < 0)
        return (int)sent;
    t->op.total += (size_t)sent;
    if (t->op.total == t->op.length)
        return 0;
    if (c->lasting)
        conn_renew(c, t);
    return CONN_GO_ON;
}

const struct conn_op conn_write = CONN_OP("write", POLL_W, write_strings);
