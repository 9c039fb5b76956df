/* SPDX-License-Identifier: MIT */
/* conn_fds.c - descriptors travel with the first byte sent. Received bytes go through `in`, so they survive if their
 * descriptors cannot be handed out. */
#include "net/conn_fds.h"

#include "base/errors.h"
#include "base/hard.h"
#include "loop/sched.h"

#include <errno.h>

void conn_fds_drop(struct conn_fds *f)
{
    for (int i = 0; f->owned && i < f->count; i++)
        sys_close(f->fd[i]);
    f->count = 0;
    f->owned = false;
}

int conn_fds_keep(struct conn_fds *f)
{
    struct conn_fds copies = {.owned = true};
    while (copies.count < f->count) {
        int fd = sys_dup(f->fd[copies.count]);
        if (fd < 0) {
            conn_fds_drop(&copies);
            return fd;
        }
        copies.fd[copies.count++] = fd;
    }
    for (int i = 0; i < f->count; i++)
        f->fd[i] = copies.fd[i];
    f->owned = true;
    return 0;
}

/* What the sender has named by number may be closed, and the number be somebody else's, once others have run. */
static int must_wait(struct conn_fds *f)
{
    int r = f->owned ? 0 : conn_fds_keep(f);
    return r < 0 ? r : -EAGAIN;
}

static int send_fds(struct conn *c, struct task *t)
{
    const struct conn_passing *p = OPERATION(t, struct conn_passing);
    struct conn_fds *f = p->fds;
    struct iovec rest = {.iov_base = (char *)p->bytes + t->op.total, .iov_len = t->op.length - t->op.total};
    c->stream.again = POLL_W;
    ssize_t sent = f->count ? sys_send_fds(c->stream.fd, rest.iov_base, rest.iov_len, f->fd, f->count)
                            : c->stream.ops->write(&c->stream, &rest, 1);
    if (sent == -EAGAIN)
        return must_wait(f);
    if (sent < 0)
        return (int)sent;
    conn_fds_drop(f);
    t->op.total += (size_t)sent;
    return t->op.total == t->op.length ? 0 : CONN_GO_ON;
}

static int hand_out(struct conn *c, struct task *t)
{
    t->op.length = t->op.total = base_min(buf_len(&c->in), OPERATION(t, struct conn_reading)->limit);
    return 0;
}

/* Bytes that an earlier read has left come first, and without descriptors. */
static int recv_fds(struct conn *c, struct task *t)
{
    const struct conn_passing *p = OPERATION(t, struct conn_passing);
    struct conn_fds *f = p->fds;
    bool lost;
    if (buf_len(&c->in) > 0)
        return hand_out(c, t);
    if (c->ended)
        return ERR_EOF;
    char *to = buf_reserve(&c->in, 1);
    if (!to)
        return -ENOMEM;
    c->stream.again = POLL_R;
    size_t room = base_min(buf_room(&c->in), p->reading.limit);
    ssize_t got = sys_recv_fds(c->stream.fd, to, room, f->fd, &f->count, &lost);
    if (got < 0)
        return (int)got;
    f->owned = true;
    c->ended = got == 0;
    buf_commit(&c->in, (size_t)got);
    if (lost) {
        conn_fds_drop(f); /* some of them are worse than none: nobody knows which */
        return ERR_FDS_LOST;
    }
    return got ? hand_out(c, t) : ERR_EOF;
}

const struct conn_op conn_send_fds = CONN_OP("send_fds", POLL_W, send_fds);
const struct conn_op conn_recv_fds = CONN_OP("recv_fds", POLL_R, recv_fds);
