/* SPDX-License-Identifier: MIT */
/* fdstream.c - read(2) and writev(2). There is no half-close: a pipe has one direction, and closing it ends it. */
#include "net/fdstream.h"

#include "base/sys.h"
#include "base/sys_move.h"

#include <errno.h>

static int fd_ready(struct stream *s, int side)
{
    struct pollfd f = {.fd = s->fd, .events = side ? POLLOUT : POLLIN};
    int n;
    do
        n = sys_poll(&f, 1, 0);
    while (n == -EINTR);
    return n;
}

static ssize_t fd_read(struct stream *s, void *bytes, size_t n)
{
    s->again = 0;
    return sys_read_some(s->fd, bytes, n);
}

static ssize_t fd_write(struct stream *s, const struct iovec *iov, int count)
{
    s->again = 1;
    return sys_writev(s->fd, iov, count);
}

static int fd_close_write(struct stream *s)
{
    (void)s;
    return -ENOTSOCK;
}

static void fd_close(struct stream *s) { sys_close(s->fd); }

const struct stream_ops fdstream_ops = {
    .name = "fd",
    .plain = true,
    .drains = false,
    .read = fd_read,
    .write = fd_write,
    .ready = fd_ready,
    .close_write = fd_close_write,
    .close = fd_close,
};
