/* SPDX-License-Identifier: MIT */
/* conn_packet.c - a datagram moves whole or not at all, so each step is one call to the system.
 * If an unconnected unix socket sends to an address whose queue is full, it gets EAGAIN, but no event when there is
 * room again: the step retries after longer and longer pauses. A connected one gets the event. */
#include "net/conn_packet.h"

#include "loop/sched.h"
#include "net/dgram.h"

#include <errno.h>

enum { PAUSE_FIRST = 1000000, PAUSE_MOST = 50000000 }; /* ns */

static int recv_from(struct conn *c, struct task *t)
{
    size_t limit = OPERATION(t, struct conn_receiving)->limit;
    c->stream.again = POLL_R;
    int r = dgram_receive(&c->stream, c->loop->datagrams, limit);
    if (r < 0)
        return r;
    t->op.total = c->loop->datagrams->got[0].length;
    t->op.length = base_min(t->op.total, limit);
    return 0;
}

static int recv_many(struct conn *c, struct task *t)
{
    const struct conn_receiving *r = OPERATION(t, struct conn_receiving);
    c->stream.again = POLL_R;
    int got = dgram_receive_many(&c->stream, c->loop->datagrams, r->count, r->limit);
    if (got < 0)
        return got;
    t->op.length = (size_t)got;
    return 0;
}

/* What becomes of a send. */
static int sent(struct conn *c, struct task *t, int r, bool named)
{
    c->stream.again = POLL_W;
    if (r != -EAGAIN || !named || !dgram_is_unix(&c->stream))
        return r;
    struct conn_pause *pause = OPERATION(t, struct conn_pause);
    pause->ns = pause->ns ? base_min(2 * pause->ns, PAUSE_MOST) : PAUSE_FIRST;
    return CONN_LATER;
}

/* The face has read the address before: here it cannot be wrong. */
static void address_of(struct conn *c, struct addr *to, const char *text, size_t n)
{
    must(!dgram_parse(&c->stream, c->loop->datagrams, to, text, n));
}

static int send_to(struct conn *c, struct task *t)
{
    const struct conn_sending *s = OPERATION(t, struct conn_sending);
    struct addr to;
    bool named = s->address != NULL;
    if (named)
        address_of(c, &to, s->address, s->address_length);
    return sent(c, t, dgram_send(&c->stream, s->bytes, t->op.length, named ? &to : NULL), named);
}

/* The next of those that are left. */
static size_t gather(struct conn *c, struct task *t, struct dgram_out *out, bool *named)
{
    const struct conn_sending_many *s = OPERATION(t, struct conn_sending_many);
    size_t left = base_min(t->op.length - t->op.total, DGRAM_MANY);
    for (size_t i = 0; i < left; i++) {
        const char *address;
        size_t n, length;
        const char *bytes = s->datagram(t, t->op.total + i + 1, &n, &address, &length);
        out[i].bytes = (struct iovec){.iov_base = (char *)bytes, .iov_len = n};
        out[i].to.len = 0;
        *named = address != NULL;
        if (address)
            address_of(c, &out[i].to, address, length);
    }
    return left;
}

static int send_many(struct conn *c, struct task *t)
{
    struct dgram_out out[DGRAM_MANY];
    bool named = false;
    size_t count = gather(c, t, out, &named);
    if (count == 0)
        return 0;
    int r = dgram_send_many(&c->stream, out, count);
    if (r < 0)
        return sent(c, t, r, named);
    OPERATION(t, struct conn_pause)->ns = 0;
    t->op.total += (size_t)r;
    return t->op.total == t->op.length ? 0 : CONN_GO_ON;
}

const struct conn_op conn_recv_from = CONN_OP("recv_from", POLL_R, recv_from);
const struct conn_op conn_recv_many = CONN_OP("recv_many", POLL_R, recv_many);
const struct conn_op conn_send_to = CONN_OP("send_to", POLL_W, send_to);
const struct conn_op conn_send_many = CONN_OP("send_many", POLL_W, send_many);
