/* SPDX-License-Identifier: MIT */
/* stream.h - the contract of a byte stream: what conn needs of a socket, an in-memory pair, or a stream over another.
 *
 * Nothing here waits: -EAGAIN says "not now", and `again` which side must become ready. That is nearly always the
 * operation's own. A stream over another may name the other one (TLS in a handshake). Then:
 *
 *   who waits      stays on its own side, with that side's deadline, and is woken by readiness of either side; so a
 *                  reader and a writer may both wait for the same one, and both are woken
 *   who is told    a step that moves bytes below may use up an event that the other side waits for, or change what
 *                  that side can do: it reports so with stream_stir, and the other side's operation tries again
 *   held bytes     a stream may hold bytes that no event will ever report: `drains` is false there, so every read
 *                  tries before it parks, and only -EAGAIN of that try parks it
 *
 * A stream over another owns it (struct stream_over): both have one pollDesc and one number, and end together. */
#ifndef MOONPARK_STREAM_H
#define MOONPARK_STREAM_H

#include "base/base.h"
#include "loop/loop.h"
#include "net/addr.h"

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

enum stream_end { STREAM_LOCAL, STREAM_PEER };

/* A member that may be NULL is as the stream below has it; where there is none, see the functions beneath. */
struct stream_ops {
    const char *name; /* "tcp", "unix", "pipe" */
    bool plain;       /* the descriptor's bytes are the stream's: sendfile and splice may move them */
    bool drains;      /* a short read proves that nothing is left: the next read may park untried */
    bool covers;      /* it lies over another one: `own` is a struct stream_over */
    bool secure;      /* nobody on the way can read it: https */

    /* Bytes moved; read: 0 at the end of the stream; -EAGAIN; or another -errno.
     * write counts what has left, or what will leave without another call. After -EAGAIN the bytes that follow those
     * counted are offered again. Some of them may be in the stream already (`taken`), which is asked no more if the
     * write is given up: then they count as written, and leave with the next one. A write of no bytes: 0 once
     * everything has left. */
    ssize_t (*read)(struct stream *s, void *bytes, size_t n);
    ssize_t (*write)(struct stream *s, const struct iovec *iov, int count);

    /* Would the side (0 read, 1 write) get further now? 1, 0 or -errno. It may set `again` as well as read does. */
    int (*ready)(struct stream *s, int side);

    /* What comes before the first byte: 0: over, -EAGAIN, or why there is no connection. Reads and writes begin with
     * it too, if nobody has called it. */
    int (*handshake)(struct stream *s);

    int (*address)(const struct stream *s, enum stream_end end, struct addr *a);

    /* Is the end, or a failure, the next thing that a read would meet? Nothing is taken. */
    bool (*has_ended)(struct stream *s);

    /* Is the peer gone, not with its half only? Whatever is still to be read: nobody hears what is written. */
    bool (*has_lost)(struct stream *s);

    /* Closing it will cut the connection off: so the peer of a stream that was cut does not take that for its end. */
    void (*will_reset)(struct stream *s);

    /* The struct has moved to s. */
    void (*placed)(struct stream *s);

    /* What it is, in words for a person, where its addresses do not say it; or NULL. */
    size_t (*describe)(const struct stream *s, char *text, size_t n);

    int (*close_write)(struct stream *s); /* the peer reads an end after what was written */
    void (*close)(struct stream *s);      /* gives everything back; called once */
};

struct stream {
    const struct stream_ops *ops;
    struct pollDesc *pd; /* NULL until somebody parks or sets a deadline */
    void *own;           /* the implementation's */
    int fd;              /* -1: no descriptor */
    uint8_t again;       /* after -EAGAIN: the side to wait for */
    uint32_t taken;      /* of the bytes last offered, those that are in the stream and were not counted yet */
};

/* What the state of a stream over another begins with. */
struct stream_over {
    struct stream below;
    struct loop *loop;
    struct late late;
    uint32_t events; /* for stream_stir */
};

/* Makes streams over others: what a listener puts over each connection that it accepts, and conn_cover over one. */
struct stream_layer {
    const struct stream_ops *ops; /* its close closes `below` as well */
    struct stream_over *(*make)(const struct stream_layer *l, bool accepts); /* NULL: no memory */
};

/* s becomes a stream over what it was. 0, or -ENOMEM with s as it was. */
int stream_cover(struct stream *s, const struct stream_layer *l, struct loop *loop, bool accepts);

static inline struct stream *stream_below(const struct stream *s)
{
    return s->ops->covers ? &((struct stream_over *)s->own)->below : NULL;
}

/* After the poller was asked next, or sooner, this is reported for the stream: POLLER_READ, POLLER_WRITE. */
static inline void stream_stir(struct stream_over *o, uint32_t events)
{
    o->events |= events;
    loop_late(o->loop, &o->late);
}

/* It has moved to s. */
void stream_placed(struct stream *s);

/* The pollDesc of s and of what lies below; NULL: none any more. */
void stream_set_pd(struct stream *s, struct pollDesc *pd);

/* Somebody else has closed the descriptor: nobody touches the number any more. */
void stream_disown(struct stream *s);

/* Those of stream_ops, for any stream. What it cannot say: -ENOTSOCK, false, nothing. */
int stream_handshake(struct stream *s);
int stream_address(const struct stream *s, enum stream_end end, struct addr *a);
bool stream_has_ended(struct stream *s);
bool stream_has_lost(struct stream *s);
void stream_will_reset(struct stream *s);

#endif
