/* SPDX-License-Identifier: MIT */
/* pair.c - each end owns the bytes that are on their way to it. */
#include "net/pair.h"

#include "base/buf.h"
#include "base/hard.h"
#include "base/sys.h"
#include "loop/netpoll.h"

#include <errno.h>
#include <string.h>

struct pair_end {
    struct stream *stream;
    struct pair_end *peer; /* NULL once it is closed */
    struct buf inbound;
    size_t capacity;
    bool ended; /* the peer writes no more */
    uint32_t *sizes;
    size_t count, turn;
};

static void report(struct pair_end *e, int side)
{
    if (e && e->stream->pd)
        netpoll_stir(e->stream->pd, side == POLL_R ? POLLER_READ : POLLER_WRITE);
}

static struct pair_end *end_open(struct stream *s, size_t capacity)
{
    struct pair_end *e = sys_alloc(sizeof *e);
    if (!e)
        return NULL;
    *s = (struct stream){.ops = &pair_ops, .own = e, .fd = -1};
    e->stream = s;
    e->capacity = capacity;
    return e;
}

int pair_open(struct stream *a, struct stream *b, size_t capacity)
{
    struct pair_end *ea = end_open(a, capacity);
    struct pair_end *eb = ea ? end_open(b, capacity) : NULL;
    if (!eb) {
        sys_free(ea);
        return -ENOMEM;
    }
    ea->peer = eb;
    eb->peer = ea;
    return 0;
}

int pair_fragment(struct stream *s, const uint32_t *sizes, size_t count)
{
    struct pair_end *e = s->own;
    uint32_t *copy = sys_alloc(count * sizeof *copy);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, sizes, count * sizeof *copy);
    sys_free(e->sizes);
    e->sizes = copy;
    e->count = count;
    e->turn = 0;
    return 0;
}

static size_t fragment(struct pair_end *e, size_t n)
{
    if (e->count == 0)
        return n;
    return base_min(n, e->sizes[e->turn++ % e->count]);
}

static ssize_t pipe_read(struct stream *s, void *bytes, size_t n)
{
    struct pair_end *e = s->own;
    s->again = POLL_R;
    if (buf_len(&e->inbound) == 0)
        return e->ended || !e->peer ? 0 : -EAGAIN;
    n = fragment(e, hard_trim(base_min(n, buf_len(&e->inbound))));
    memcpy(bytes, buf_at(&e->inbound), n);
    buf_consume(&e->inbound, n);
    buf_release(&e->inbound);
    report(e->peer, POLL_W);
    return (ssize_t)n;
}

static ssize_t pipe_write(struct stream *s, const struct iovec *iov, int count)
{
    struct pair_end *e = s->own, *to = e->peer;
    size_t done = 0;
    s->again = POLL_W;
    if (!to || to->ended)
        return -EPIPE;
    count = (int)hard_trim((size_t)count);
    for (int i = 0; i < count && buf_len(&to->inbound) < to->capacity; i++) {
        size_t n = hard_trim(base_min(iov[i].iov_len, to->capacity - buf_len(&to->inbound)));
        if (buf_append(&to->inbound, iov[i].iov_base, n) < 0)
            return done ? (ssize_t)done : -ENOMEM;
        done += n;
    }
    if (done == 0)
        return -EAGAIN;
    report(to, POLL_R);
    return (ssize_t)done;
}

static int pipe_ready(struct stream *s, int side)
{
    struct pair_end *e = s->own;
    if (side == POLL_R)
        return buf_len(&e->inbound) > 0 || e->ended || !e->peer;
    return !e->peer || e->peer->ended || buf_len(&e->peer->inbound) < e->peer->capacity;
}

static void pipe_placed(struct stream *s) { ((struct pair_end *)s->own)->stream = s; }

static int pipe_close_write(struct stream *s)
{
    struct pair_end *e = s->own;
    if (e->peer) {
        e->peer->ended = true;
        report(e->peer, POLL_R);
    }
    return 0;
}

static void pipe_close(struct stream *s)
{
    struct pair_end *e = s->own;
    if (e->peer) {
        e->peer->peer = NULL;
        report(e->peer, POLL_R);
        report(e->peer, POLL_W);
    }
    buf_fini(&e->inbound);
    sys_free(e->sizes);
    sys_free(e);
    s->own = NULL;
}

const struct stream_ops pair_ops = {
    .name = "pipe",
    .drains = false,
    .read = pipe_read,
    .write = pipe_write,
    .ready = pipe_ready,
    .placed = pipe_placed,
    .close_write = pipe_close_write,
    .close = pipe_close,
};
