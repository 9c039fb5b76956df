/* SPDX-License-Identifier: MIT */
/* conn_read.c - each step takes what it needs from `in`, or reads the stream once and returns "again".
 * Received bytes stay in `in` until they are handed out: a read that fails loses nothing. */
#include "net/conn_read.h"

#include "base/errors.h"
#include "base/hard.h"
#include "loop/sched.h"

#include <errno.h>
#include <string.h>

/* After a short read nothing is there until an edge has been reported: say so without asking. */
static bool nothing_there(const struct conn *c)
{
    const struct pollDesc *pd = c->stream.pd;
    return c->drained && pd && !pd->hangup;
}

ssize_t conn_receive(struct conn *c, void *to, size_t n)
{
    c->stream.again = POLL_R;
    if (nothing_there(c))
        return -EAGAIN;
    ssize_t got = c->stream.ops->read(&c->stream, to, n);
    c->drained = c->stream.ops->drains && got > 0 && (size_t)got < hard_trim(n);
    c->ended = got == 0;
    return got;
}

int conn_read_fill(struct conn *c, size_t room)
{
    if (c->ended)
        return ERR_EOF;
    char *to = buf_reserve(&c->in, room);
    if (!to)
        return -ENOMEM;
    ssize_t got = conn_receive(c, to, buf_room(&c->in));
    if (got > 0)
        buf_commit(&c->in, (size_t)got);
    if (got < 0)
        return (int)got;
    return got ? CONN_GO_ON : ERR_EOF;
}

enum { AHEAD_MOST = 4 }; /* doublings of limits.buffer: 64 KiB */

/* The same for reads of lines and of many bytes: while reads fill what they are given, the next one is given twice as
 * much, so that a stream that flows costs fewer system calls. */
static int fill_ahead(struct conn *c)
{
    size_t before = buf_len(&c->in);
    int r = conn_read_fill(c, c->ahead ? limits.buffer << c->ahead : 1);
    if (r != CONN_GO_ON)
        return r;
    if (buf_room(&c->in) == 0)
        c->ahead = c->ahead < AHEAD_MOST ? c->ahead + 1 : AHEAD_MOST;
    else if (buf_len(&c->in) - before < limits.buffer)
        c->ahead = c->ahead ? c->ahead - 1 : 0;
    return r;
}

static int read_some(struct conn *c, struct task *t)
{
    struct conn_reading *r = OPERATION(t, struct conn_reading);
    r->held = buf_len(&c->in) > 0;
    if (r->held) {
        t->op.length = t->op.total = base_min(buf_len(&c->in), r->limit);
        return 0;
    }
    if (c->ended)
        return ERR_EOF;
    ssize_t got = conn_receive(c, c->loop->scratch, base_min(limits.scratch, r->limit));
    if (got <= 0)
        return got ? (int)got : ERR_EOF;
    t->op.length = t->op.total = (size_t)got;
    return 0;
}

static int read_exactly(struct conn *c, struct task *t)
{
    size_t n = OPERATION(t, struct conn_reading)->limit;
    if (buf_len(&c->in) < n)
        return fill_ahead(c);
    t->op.length = t->op.total = n;
    return 0;
}

static int found(struct task *t, size_t length, size_t delimiter)
{
    if (length > OPERATION(t, struct conn_reading)->limit)
        return ERR_TOO_LONG;
    t->op.length = length;
    t->op.total = length + delimiter;
    return 0;
}

static int read_until(struct conn *c, struct task *t)
{
    const struct conn_reading_until *u = OPERATION(t, struct conn_reading_until);
    ptrdiff_t at = buf_find(&c->in, u->delimiter, u->delimiter_length);
    if (at >= 0)
        return found(t, (size_t)at, u->delimiter_length);
    if (buf_len(&c->in) >= u->reading.limit + u->delimiter_length)
        return ERR_TOO_LONG;
    return fill_ahead(c);
}

/* A line ends at LF or CRLF; the last one may end with the stream. */
static int read_line(struct conn *c, struct task *t)
{
    ptrdiff_t at = buf_find(&c->in, "\n", 1);
    if (at >= 0) {
        size_t cr = at > 0 && buf_at(&c->in)[at - 1] == '\r';
        return found(t, (size_t)at - cr, 1 + cr);
    }
    if (buf_len(&c->in) >= OPERATION(t, struct conn_reading)->limit + 2) /* room for a CRLF behind the longest line */
        return ERR_TOO_LONG;
    int r = fill_ahead(c);
    if (r == ERR_EOF && buf_len(&c->in) > 0)
        return found(t, buf_len(&c->in), 0);
    return r;
}

/* A line ends at LF, and nothing else ends one. The CRs in it are dropped in place: that may happen before a push that
 * fails, and does no harm a second time. */
static int receive_line(struct conn *c, struct task *t)
{
    ptrdiff_t at = buf_find(&c->in, "\n", 1);
    if (at >= 0) {
        size_t cr = at > 0 && buf_at(&c->in)[at - 1] == '\r', n = (size_t)at - cr;
        if (!n || !memchr(buf_at(&c->in), '\r', n))
            return found(t, n, cr + 1);
        n = buf_drop(&c->in, (size_t)at, '\r');
        c->taken += (size_t)at - n;
        return found(t, n, 1);
    }
    if (buf_len(&c->in) >= OPERATION(t, struct conn_reading)->limit + 2)
        return ERR_TOO_LONG;
    return fill_ahead(c);
}

static int read_all(struct conn *c, struct task *t)
{
    if (buf_len(&c->in) > OPERATION(t, struct conn_reading)->limit)
        return ERR_TOO_LONG;
    int r = fill_ahead(c);
    if (r != ERR_EOF)
        return r;
    t->op.length = t->op.total = buf_len(&c->in);
    return 0;
}

const struct conn_op conn_read = CONN_OP("read", POLL_R, read_some);
const struct conn_op conn_read_exactly = CONN_OP("read_exactly", POLL_R, read_exactly);
const struct conn_op conn_read_line = CONN_OP("read_line", POLL_R, read_line);
const struct conn_op conn_receive_line = CONN_OP("receive_line", POLL_R, receive_line);
const struct conn_op conn_read_until = CONN_OP("read_until", POLL_R, read_until);
const struct conn_op conn_read_all = CONN_OP("read_all", POLL_R, read_all);
