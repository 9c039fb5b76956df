/* SPDX-License-Identifier: MIT */
/* conn_packet.c - a datagram moves whole or not at all, so each step is one call to the system.
 * A unix socket that names its addressee is told "again" when that one's queue is full, and is never told when
 * there is room: it looks again, after longer and longer pauses. A connected one is told. */
#include "conn_packet.h"

#include "dgram.h"
#include "sched.h"

#include <errno.h>

enum { PAUSE_FIRST = 1000000, PAUSE_MOST = 50000000 }; /* ns */

int conn_recv_from(struct conn *c, struct task *t)
{
    c->stream.again = POLL_R;
    int r = dgram_receive(&c->stream, c->loop->datagrams, t->op.limit);
    if (r < 0)
        return r;
    t->op.total = c->loop->datagrams->got[0].length;
    t->op.length = base_min(t->op.total, t->op.limit);
    return 0;
}

int conn_recv_many(struct conn *c, struct task *t)
{
    c->stream.again = POLL_R;
    int got = dgram_receive_many(&c->stream, c->loop->datagrams, t->op.from, t->op.limit);
    if (got < 0)
        return got;
    t->op.length = (size_t)got;
    return 0;
}

/* What becomes of a send: op.limit is how long to pause. */
static int sent(struct conn *c, struct task *t, int r, bool named)
{
    c->stream.again = POLL_W;
    if (r != -EAGAIN || !named || !dgram_is_unix(&c->stream))
        return r;
    t->op.limit = t->op.limit ? base_min(2 * t->op.limit, PAUSE_MOST) : PAUSE_FIRST;
    return CONN_LATER;
}

/* The face has read the address before: here it cannot be wrong. */
static void address_of(struct conn *c, struct addr *to, const char *text, size_t n)
{
    must(!dgram_parse(&c->stream, c->loop->datagrams, to, text, n));
}

int conn_send_to(struct conn *c, struct task *t)
{
    struct addr to;
    bool named = t->op.target != NULL;
    if (named)
        address_of(c, &to, t->op.target, t->op.from);
    return sent(c, t, dgram_send(&c->stream, t->op.bytes, t->op.length, named ? &to : NULL), named);
}

/* The next of those that are left. */
static size_t gather(struct conn *c, struct task *t, struct dgram_out *out, bool *named)
{
    size_t left = base_min(t->op.length - t->op.total, DGRAM_MANY);
    for (size_t i = 0; i < left; i++) {
        const char *address;
        size_t n, length;
        const char *bytes = c->face->datagram(t, t->op.total + i + 1, &n, &address, &length);
        out[i].bytes = (struct iovec){.iov_base = (char *)bytes, .iov_len = n};
        out[i].to.len = 0;
        *named = address != NULL;
        if (address)
            address_of(c, &out[i].to, address, length);
    }
    return left;
}

int conn_send_many(struct conn *c, struct task *t)
{
    struct dgram_out out[DGRAM_MANY];
    bool named = false;
    size_t count = gather(c, t, out, &named);
    if (count == 0)
        return 0;
    int r = dgram_send_many(&c->stream, out, count);
    if (r < 0)
        return sent(c, t, r, named);
    t->op.limit = 0;
    t->op.total += (size_t)r;
    return t->op.total == t->op.length ? 0 : CONN_GO_ON;
}
