/* SPDX-License-Identifier: MIT */
/* veil.c - a stream over another for specs, as awkward as TLS may be: it changes every byte, frames what it sends in
 * small records, begins with a handshake, holds bytes that no event reports, and at random answers "again" for either
 * side, as if it needed what it does not.
 *
 *   a record     a kind, a length, and so many bytes, each XORed with MASK
 *   an end       a record of that kind, or the end below where a record might begin: one that is closed while the
 *                stream below is full cannot say more
 *   handshake    the client's three bytes, the server's three, one more of the client's: a record each
 *
 * What it says "again" for at random is reported to it a little later (stream_stir), and to nobody else: a wait for the
 * wrong side sleeps for ever. The numbers are the same in every run. */
#include "net/stream.h"

#include "loop/netpoll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD = 4096, HEADER = 3, MASK = 0x5a, RAW = 8192, ROUND = 3 };
enum { SAID = 'h', DATA = 'd', END = 'e' };

struct veil {
    struct stream_over over; /* first: the contract's */
    char raw[RAW];           /* received: whole records and a part of one */
    size_t raw_at, raw_end;
    char plain[RECORD]; /* of the record that is being read */
    size_t plain_at, plain_end;
    char out[ROUND * (HEADER + RECORD)]; /* records on their way */
    size_t out_at, out_end;
    uint32_t random;
    uint8_t heard, to_hear, rounds; /* of the handshake: bytes; the rounds that are left to say or hear */
    bool says;                      /* the next round is ours to say */
    bool ended, closing, shut;
    int failure; /* of reading; it stays */
    int broken;  /* of writing */
};

/* How awkward those are that are made from now on. */
struct veil_manner {
    uint32_t seed;
    uint32_t odds;  /* one answer in so many is "again" without need; 0: none */
    uint32_t record; /* bytes in a record, at most RECORD */
    bool stubborn;  /* once the handshake is over every answer is "again" for the other side, and nothing is reported */
    bool silent;    /* it never says anything: a handshake does not end */
};
struct veil_manner veil_manner = {.seed = 1, .odds = 4, .record = 61};
uint32_t veil_count[3]; /* made; "again" without need; of those, for the other side */

static int again(struct stream *s, int side)
{
    s->again = (uint8_t)side;
    return -EAGAIN;
}

static uint32_t next(struct veil *v)
{
    v->random ^= v->random << 13;
    v->random ^= v->random >> 17;
    v->random ^= v->random << 5;
    return v->random;
}

/* "Again" without need, and the event that ends it. */
static int lie(struct veil *v, struct stream *s, int own)
{
    if (veil_manner.stubborn)
        return v->rounds > 0 ? 0 : again(s, !own);
    if (veil_manner.odds == 0 || next(v) % veil_manner.odds != 0)
        return 0;
    int side = next(v) >> 8 & 1;
    veil_count[1]++;
    veil_count[2] += side != own;
    stream_stir(&v->over, side == POLL_R ? POLLER_READ : POLLER_WRITE);
    return again(s, side);
}

static void put(struct veil *v, char kind, const char *bytes, size_t n)
{
    char *to = v->out + v->out_end;
    to[0] = kind;
    to[1] = (char)(n & 0xff);
    to[2] = (char)(n >> 8);
    for (size_t i = 0; i < n; i++)
        to[HEADER + i] = bytes[i] ^ MASK;
    v->out_end += HEADER + n;
}

/* 0: all has left. */
static int flush(struct veil *v, struct stream *s)
{
    struct stream *below = &v->over.below;
    while (v->out_at < v->out_end) {
        struct iovec iov = {.iov_base = v->out + v->out_at, .iov_len = v->out_end - v->out_at};
        ssize_t sent = below->ops->write(below, &iov, 1);
        if (sent == -EAGAIN)
            return again(s, below->again);
        if (sent < 0)
            return v->broken = (int)sent;
        v->out_at += (size_t)sent;
    }
    v->out_at = v->out_end = 0;
    if (v->closing && !v->shut) {
        put(v, END, NULL, 0);
        v->shut = true;
        return flush(v, s);
    }
    if (v->shut)
        (void)below->ops->close_write(below);
    return 0;
}

/* Another record's bytes are in `plain`, and its kind is returned; 0: the end; -EAGAIN, or why not. */
static int pull(struct veil *v, struct stream *s)
{
    struct stream *below = &v->over.below;
    for (;;) {
        size_t held = v->raw_end - v->raw_at;
        const char *at = v->raw + v->raw_at;
        size_t length = held < HEADER ? 0 : (uint8_t)at[1] | (size_t)(uint8_t)at[2] << 8;
        if (length > RECORD)
            return v->failure = -EPROTO;
        if (held >= HEADER + length) {
            v->plain_at = 0;
            v->plain_end = length;
            for (size_t i = 0; i < v->plain_end; i++)
                v->plain[i] = at[HEADER + i] ^ MASK;
            v->raw_at += HEADER + v->plain_end;
            return at[0];
        }
        memmove(v->raw, at, held);
        v->raw_at = 0;
        v->raw_end = held;
        ssize_t got = below->ops->read(below, v->raw + held, RAW - held);
        if (got == -EAGAIN)
            return again(s, below->again);
        if (got < 0)
            return v->failure = (int)got;
        if (got == 0)
            return held > 0 ? v->failure = -ECONNRESET : 0;
        v->raw_end += (size_t)got;
    }
}

static int say(struct veil *v, struct stream *s)
{
    if (veil_manner.silent)
        return again(s, POLL_R);
    if (v->out_end == 0)
        for (int i = 0; i < (v->rounds == 1 ? 1 : ROUND); i++)
            put(v, SAID, "hi!" + i, 1);
    return flush(v, s);
}

static int hear(struct veil *v, struct stream *s)
{
    while (v->heard < (v->rounds == 1 ? 1 : ROUND)) {
        int kind = pull(v, s);
        if (kind == -EAGAIN)
            return kind;
        if (kind != SAID || v->plain_end != 1 || v->plain[0] != "hi!"[v->heard])
            return v->failure = kind < 0 ? kind : kind == 0 ? -ECONNRESET : -EPROTO;
        v->plain_end = 0;
        v->heard++;
    }
    v->heard = 0;
    return 0;
}

static int veil_handshake(struct stream *s)
{
    struct veil *v = s->own;
    while (v->rounds > 0) {
        if (v->failure || v->broken)
            return v->failure ? v->failure : v->broken;
        int r = lie(v, s, v->says ? POLL_W : POLL_R);
        r = r < 0 ? r : v->says ? say(v, s) : hear(v, s);
        if (r < 0)
            return r;
        v->says = !v->says;
        if (--v->rounds == 0)
            stream_stir(&v->over, POLLER_READ | POLLER_WRITE); /* who waits on the other side may go on */
    }
    return 0;
}

/* Bytes are in `plain`: 1; 0: the end; or not. */
static int fill(struct veil *v, struct stream *s)
{
    while (v->plain_at == v->plain_end) {
        if (v->ended)
            return v->failure;
        int kind = pull(v, s);
        if (kind < 0)
            return kind;
        if (kind == DATA)
            continue;
        v->ended = true;
        if (kind != END && kind != 0)
            return v->failure = -EPROTO;
    }
    return 1;
}

static ssize_t veil_read(struct stream *s, void *bytes, size_t n)
{
    struct veil *v = s->own;
    int r = veil_handshake(s);
    r = r < 0 ? r : lie(v, s, POLL_R);
    if (r < 0)
        return r;
    r = fill(v, s);
    if (r == -EAGAIN && v->out_end > 0 && s->taken == 0 && flush(v, s) == -EAGAIN)
        return -EAGAIN; /* for either side: what we have said last has not left */
    if (r == -EAGAIN)
        return again(s, POLL_R);
    if (r <= 0)
        return r;
    n = base_min(n, v->plain_end - v->plain_at);
    memcpy(bytes, v->plain + v->plain_at, n);
    v->plain_at += n;
    return (ssize_t)n;
}

/* What the last write has left. Its bytes count now, unless they have been counted when it was given up. */
static ssize_t settle(struct veil *v, struct stream *s)
{
    int r = flush(v, s);
    if (r < 0)
        return r;
    size_t n = s->taken;
    s->taken = 0;
    return (ssize_t)n;
}

static size_t gather(char *to, const struct iovec *iov, int count, size_t skip)
{
    size_t n = 0, most = veil_manner.record;
    for (int i = 0; i < count && n < most; i++) {
        size_t from = base_min(skip, iov[i].iov_len), some = base_min(iov[i].iov_len - from, most - n);
        memcpy(to + n, (const char *)iov[i].iov_base + from, some);
        skip -= from;
        n += some;
    }
    return n;
}

static ssize_t veil_write(struct stream *s, const struct iovec *iov, int count)
{
    struct veil *v = s->own;
    char bytes[RECORD];
    int r = veil_handshake(s);
    r = r < 0 ? r : lie(v, s, POLL_W);
    if (r < 0)
        return r;
    if (v->closing || v->broken)
        return v->broken ? v->broken : -EPIPE;
    if (v->plain_at == v->plain_end && next(v) % 8 == 0 && !v->ended) {
        struct stream unused = *s; /* takes what has arrived, whose event the reader will miss */
        if (fill(v, &unused) != -EAGAIN)
            stream_stir(&v->over, POLLER_READ);
    }
    ssize_t done = settle(v, s);
    while (done >= 0) {
        size_t n = gather(bytes, iov, count, (size_t)done);
        if (n == 0)
            return done;
        put(v, DATA, bytes, n);
        s->taken = (uint32_t)n;
        ssize_t sent = settle(v, s);
        if (sent < 0)
            return done > 0 ? done : sent;
        done += sent;
    }
    return done;
}

static int veil_ready(struct stream *s, int side)
{
    struct veil *v = s->own;
    int r = veil_handshake(s);
    if (r == 0)
        r = side == POLL_R ? fill(v, s) : flush(v, s);
    if (r < 0)
        return r == -EAGAIN ? 0 : 1;
    return side == POLL_R ? 1 : v->over.below.ops->ready(&v->over.below, side);
}

static bool veil_has_ended(struct stream *s)
{
    struct veil *v = s->own;
    int r = veil_handshake(s);
    r = r < 0 ? r : fill(v, s);
    if (r == 1)
        stream_stir(&v->over, POLLER_READ);
    return r == 0 || (r < 0 && r != -EAGAIN);
}

static int veil_close_write(struct stream *s)
{
    struct veil *v = s->own;
    if (v->broken)
        return v->broken;
    v->closing = true;
    if (v->rounds > 0)
        return 0; /* after that */
    int r = flush(v, s);
    return r == -EAGAIN ? 0 : r;
}

static void veil_close(struct stream *s)
{
    struct veil *v = s->own;
    struct stream *below = &v->over.below;
    if (v->rounds == 0 && v->out_end == 0 && !v->shut && !v->broken) { /* else it is cut off */
        v->closing = true;
        (void)flush(v, s);
    }
    list_del(&v->over.late.link);
    below->ops->close(below);
    free(v);
    s->own = NULL;
}

static void veil_will_reset(struct stream *s)
{
    struct veil *v = s->own;
    v->broken = -ECONNABORTED; /* its end is not said */
    if (v->over.below.ops->will_reset)
        v->over.below.ops->will_reset(&v->over.below);
}

static const struct stream_ops veil_ops = {
    .name = "veil",
    .covers = true,
    .secure = true,
    .read = veil_read,
    .write = veil_write,
    .ready = veil_ready,
    .handshake = veil_handshake,
    .has_ended = veil_has_ended,
    .will_reset = veil_will_reset,
    .close_write = veil_close_write,
    .close = veil_close,
};

static struct stream_over *make(const struct stream_layer *l, bool accepts)
{
    struct veil *v = calloc(1, sizeof *v);
    (void)l;
    if (!v)
        return NULL;
    v->random = (veil_manner.seed + veil_count[0]++) * 2654435761u | 1;
    v->says = !accepts;
    v->rounds = 3;
    return &v->over;
}

extern const struct stream_layer veil_layer;
const struct stream_layer veil_layer = {.ops = &veil_ops, .make = make};
