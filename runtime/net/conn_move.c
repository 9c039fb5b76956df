/* SPDX-License-Identifier: MIT */
/* conn_move.c - the kernel moves the bytes if it can; if it returns EINVAL they are read and written.
 * A short splice proves nothing (the pipe may be full), and neither does an end or, after urgent data, an EAGAIN: if a
 * splice moves nothing, an ordinary read decides. */
#include "net/conn_move.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "base/sys_file.h"
#include "base/sys_move.h"
#include "loop/sched.h"
#include "net/conn_time.h"
#include "net/send_file.h"
#include "net/send_file_opening.h"

#include <errno.h>
#include <string.h>

enum {
    SHARE = 2097152, /* bytes of a file until others run: a peer that keeps up would never make it wait */
    POUR = 65536,    /* bytes taken out of a kernel pipe by hand */
};

static ssize_t write_bytes(struct conn *c, const void *bytes, size_t n)
{
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = n};
    return c->stream.ops->write(&c->stream, &iov, 1);
}

/* ---- sendfile ---- */

void conn_file_close(struct conn_file *f)
{
    if (f->fd >= 0)
        sys_close(f->fd);
    f->fd = -1;
    f->path = NULL;
    if (f->job)
        pool_release(f->loop->pool, f->job);
}

/* The thread has come back: whoever holds the side and rests goes on. */
static void opened(struct job *job)
{
    struct conn *c = container_of(job, struct opening, job)->waiter;
    conn_rouse(&c->side[POLL_W]);
}

/* A thread opens it; 0 where there is none to do so. */
static int begin_opening(struct conn *c, struct conn_file *f)
{
    struct opening *o = send_file_opening_new(NULL, f->path, false);
    if (!o)
        return -ENOMEM;
    o->waiter = c;
    o->job.done = opened;
    f->loop = c->loop;
    if (loop_submit(c->loop, &o->job, &f->job) == 0)
        return CONN_LATER;
    o->job.drop(&o->job);
    return 0;
}

/* 0; CONN_LATER: a thread is at it. */
static int open_path(struct conn *c, struct conn_file *f)
{
    struct send_file_info info;
    int fd;
    if (f->job) {
        if (f->job->under_way)
            return CONN_LATER;
        fd = send_file_opening_take(container_of(f->job, struct opening, job));
        pool_release(f->loop->pool, f->job);
    } else {
        fd = send_file_open_cached(NULL, f->path, false, &info);
    }
    if (fd == -EAGAIN) {
        int r = begin_opening(c, f);
        if (r != 0)
            return r;
        fd = send_file_open(NULL, f->path, &info);
    }
    if (fd < 0)
        return fd == -EAGAIN ? -EIO : fd; /* no side waits for a file */
    f->fd = fd;
    f->path = NULL;
    return 0;
}

/* Opens it where that is still to be done. Its size counts as it is now, whatever becomes of it. */
static int measure(struct conn *c, struct conn_file *f, struct task *t)
{
    uint64_t size;
    int r = f->path ? open_path(c, f) : 0;
    if (r == CONN_LATER)
        OPERATION(t, struct conn_pause)->ns = INT64_MAX; /* until it is roused */
    if (r != 0)
        return r;
    r = sys_file_size(f->fd, &size);
    if (r <= 0)
        return r < 0 ? r : ERR_NOT_A_FILE;
    if (f->offset > size || (f->length != SIZE_MAX && f->length > size - f->offset))
        return ERR_UNEXPECTED_EOF;
    t->op.length = f->length == SIZE_MAX ? size - f->offset : f->length;
    f->measured = true;
    return 0;
}

/* Reads a piece again where the stream did not take all of it: no buffer has to outlive the step. */
static ssize_t send_by_hand(struct conn *c, const struct conn_file *f, uint64_t at, size_t n)
{
    ssize_t got = sys_pread(f->fd, c->loop->scratch, base_min(n, limits.scratch), at);
    return got > 0 ? write_bytes(c, c->loop->scratch, (size_t)got) : got;
}

static int step_sendfile(struct conn *c, struct task *t)
{
    struct conn_filing *o = OPERATION(t, struct conn_filing);
    struct conn_file *f = o->file;
    int r = f->measured ? 0 : measure(c, f, t);
    if (r != 0 || t->op.total == t->op.length)
        return r;
    uint64_t at = f->offset + t->op.total;
    size_t n = base_min(t->op.length - t->op.total, SHARE);
    c->stream.again = POLL_W;
    if (!c->stream.ops->plain)
        f->by_hand = true;
    ssize_t sent = f->by_hand ? send_by_hand(c, f, at, n) : sys_sendfile(c->stream.fd, f->fd, at, n);
    if (!f->by_hand && (sent == -EINVAL || sent == -ENOSYS)) {
        f->by_hand = true;
        return CONN_GO_ON;
    }
    if (sent <= 0)
        return sent ? (int)sent : ERR_UNEXPECTED_EOF;
    t->op.total += (size_t)sent;
    if (t->op.total == t->op.length)
        return 0;
    if (f->lasting)
        conn_renew(c, t);
    o->share += (size_t)sent;
    if (o->share < SHARE)
        return CONN_GO_ON;
    o->share = 0;
    return CONN_OTHERS;
}

const struct conn_op conn_sendfile = CONN_OP("sendfile", POLL_W, step_sendfile);

/* ---- splice ---- */

bool conn_splices(const struct conn *c)
{
    return !c->closed && c->stream.fd >= 0 && c->stream.ops->plain;
}

void conn_hose_init(struct conn_hose *h, struct kpipes *pool)
{
    h->pipe.from = h->pipe.to = -1;
    h->pool = pool;
    kpipes_join(pool);
}

void conn_hose_fini(struct conn_hose *h)
{
    if (!h->pool)
        return;
    kpipe_close(&h->pipe);
    buf_fini(&h->rest);
    h->held = 0;
    kpipes_leave(h->pool);
    h->pool = NULL;
}

bool conn_hose_is_empty(const struct conn_hose *h) { return h->held == 0 && buf_len(&h->rest) == 0; }

/* n bytes have left the kernel pipe. */
static void drained(struct conn_hose *h, size_t n)
{
    must(n <= h->held);
    h->held -= n;
    if (h->held == 0)
        kpipes_give(h->pool, &h->pipe);
}

static int step_splice_in(struct conn *c, struct task *t)
{
    const struct conn_splicing *o = OPERATION(t, struct conn_splicing);
    struct conn_hose *h = o->hose;
    const struct pollDesc *pd = c->stream.pd;
    must(conn_hose_is_empty(h));
    c->stream.again = POLL_R;
    if (buf_len(&c->in) > 0 || c->ended)
        return 0;
    if (h->refused || !conn_splices(c) || kpipes_take(h->pool, &h->pipe) < 0)
        return -EINVAL;
    ssize_t got = sys_splice_in(c->stream.fd, h->pipe.to, base_min(o->limit, KPIPE_SIZE));
    c->drained = false;
    if (got > 0) {
        h->held = t->op.total = (size_t)got;
        return 0;
    }
    kpipes_give(h->pool, &h->pipe);
    return got == -EAGAIN && pd && pd->hangup ? 0 : (int)got;
}

/* For a stream that cannot be spliced to, though the bytes are in the pipe already. */
static ssize_t pour(struct conn *c, struct conn_hose *h)
{
    if (buf_len(&h->rest) == 0) {
        char *to = buf_reserve(&h->rest, base_min(h->held, POUR));
        if (!to)
            return -ENOMEM;
        ssize_t got = sys_read_some(h->pipe.from, to, base_min(h->held, buf_room(&h->rest)));
        if (got <= 0)
            return got ? got : -EIO;
        buf_commit(&h->rest, (size_t)got);
        drained(h, (size_t)got);
    }
    ssize_t sent = write_bytes(c, buf_at(&h->rest), buf_len(&h->rest));
    if (sent > 0)
        buf_consume(&h->rest, (size_t)sent);
    buf_release(&h->rest);
    return sent;
}

static int step_splice_out(struct conn *c, struct task *t)
{
    struct conn_hose *h = OPERATION(t, struct conn_splicing)->hose;
    c->stream.again = POLL_W;
    if (conn_hose_is_empty(h))
        return 0;
    if (!conn_splices(c))
        h->refused = true;
    bool by_hand = h->refused;
    ssize_t sent = by_hand ? pour(c, h) : sys_splice_out(h->pipe.from, c->stream.fd, h->held);
    if (!by_hand && sent == -EINVAL) {
        h->refused = true;
        return CONN_GO_ON;
    }
    if (sent <= 0)
        return sent ? (int)sent : -EIO; /* there are bytes in the pipe: 0 cannot be */
    if (!by_hand)
        drained(h, (size_t)sent);
    t->op.total += (size_t)sent;
    return conn_hose_is_empty(h) ? 0 : CONN_GO_ON;
}

const struct conn_op conn_splice_in = CONN_OP("copy (read)", POLL_R, step_splice_in);
const struct conn_op conn_splice_out = CONN_OP("copy (write)", POLL_W, step_splice_out);
