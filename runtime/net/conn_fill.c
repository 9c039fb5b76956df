/* SPDX-License-Identifier: MIT */
/* conn_fill.c - the steps ask the stream for as much as there is room for, since a protocol's next message is likely
 * to be wanted too. What is asked for has a limit, and the buffer grows only behind what has really come. */
#include "net/conn_fill.h"

#include "base/errors.h"
#include "base/hard.h"
#include "loop/sched.h"
#include "net/conn_read.h"
#include "net/unpack.h"

#include <errno.h>
#include <string.h>

/* Room for many small messages; behind a piece of one for so much that no read is a tiny one. */
static int more(struct conn *c) { return conn_read_fill(c, buf_len(&c->in) ? limits.buffer : 4 * limits.buffer); }

static int fill(struct conn *c, struct task *t)
{
    const struct conn_filling *f = OPERATION(t, struct conn_filling);
    if (f->n > f->limit)
        return ERR_TOO_LONG;
    return buf_len(&c->in) < f->n ? more(c) : 0;
}

static int unpack(struct conn *c, struct task *t)
{
    struct conn_unpacking *p = OPERATION(t, struct conn_unpacking);
    struct unpack_format f;
    struct unpack u;
    if (p->needed > buf_len(&c->in))
        return more(c);
    must(!unpack_read(&f, p->format, p->format_length));
    unpack_init(&u, &f, buf_at(&c->in), buf_len(&c->in), 0);
    int r = unpack_all(&u);
    p->needed = r == UNPACK_SHORT ? u.needed : u.at;
    if (r >= 0 && p->needed > p->limit)
        return ERR_TOO_LONG;
    t->op.total = u.at;
    return r == UNPACK_SHORT ? more(c) : r;
}

/* Moves out of `in` what is wanted and there. */
static void move(struct conn *c, struct task *t, char *to)
{
    size_t n = base_min(buf_len(&c->in), t->op.length - t->op.total);
    if (to && n)
        memcpy(to + t->op.total, buf_at(&c->in), n);
    buf_consume(&c->in, n);
    c->taken += n;
    t->op.total += n;
}

static int skip(struct conn *c, struct task *t)
{
    move(c, t, NULL);
    return t->op.total < t->op.length ? more(c) : 0;
}

static int read_into(struct conn *c, struct task *t)
{
    const struct conn_placing *p = OPERATION(t, struct conn_placing);
    move(c, t, p->to);
    if (t->op.total >= p->least)
        return 0;
    if (c->ended)
        return ERR_EOF;
    ssize_t got = conn_receive(c, p->to + t->op.total, t->op.length - t->op.total);
    if (got <= 0)
        return got ? (int)got : ERR_EOF;
    t->op.total += (size_t)got;
    return CONN_GO_ON;
}

const struct conn_op conn_fill = CONN_OP("fill", POLL_R, fill);
const struct conn_op conn_unpack = CONN_OP("read_unpack", POLL_R, unpack);
const struct conn_op conn_skip = CONN_OP("skip", POLL_R, skip);
const struct conn_op conn_read_into = CONN_OP("read_into", POLL_R, read_into);
