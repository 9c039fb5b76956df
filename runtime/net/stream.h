/* SPDX-License-Identifier: MIT */
/* stream.h - the contract of a byte stream: what conn needs of a socket, an in-memory pair, or a stream over another.
 *
 * Nothing here waits: -EAGAIN means "not now", and `again` is the side that must become ready. That is nearly always
 * the operation's own side. A stream over another may name the other side (TLS in a handshake). Then:
 *
 *   waiting        a task waits on its own side, with that side's deadline, and readiness of either side wakes it; so
 *                  a reader and a writer may both wait for the same side, and both are woken
 *   stirring       a step that moves bytes below may use up an event that the other side waits for, or change what
 *                  that side can do: it calls stream_stir, and the other side's operation tries again
 *   held bytes     a stream may hold bytes that no event will ever report: its `drains` is false, so every read tries
 *                  before it parks, and parks only if that try returns -EAGAIN
 *
 * A stream over another owns it (struct stream_over): they share one pollDesc and one descriptor, and end together. */
#ifndef MOONPARK_STREAM_H
#define MOONPARK_STREAM_H

#include "base/base.h"
#include "loop/loop.h"
#include "net/addr.h"

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

enum stream_end { STREAM_LOCAL, STREAM_PEER };

/* For a function that is NULL, the stream below answers; if there is none, see the stream_ functions at the end. */
struct stream_ops {
    const char *name; /* "tcp", "unix", "pipe" */
    bool plain;       /* the descriptor's bytes are the stream's: sendfile and splice may move them */
    bool drains;      /* a short read proves that nothing is left: the next read may park without trying */
    bool covers;      /* a stream over another: `own` is a struct stream_over */
    bool secure;      /* nobody in between can read it: https */

    /* Return the bytes moved (read: 0 at the end of the stream), -EAGAIN, or another -errno.
     * write counts bytes that have left, or will leave without another call. After -EAGAIN the bytes that follow those
     * counted are offered again; the stream may hold some of them already (`taken`). If the write is given up instead,
     * these count as written and leave with the next write. A write of no bytes returns 0 once everything has left. */
    ssize_t (*read)(struct stream *s, void *bytes, size_t n);
    ssize_t (*write)(struct stream *s, const struct iovec *iov, int count);

    /* Would a read (side 0) or write (1) make progress now? Returns 1, 0 or -errno. May set `again`, as read does. */
    int (*ready)(struct stream *s, int side);

    /* The exchange before the first byte. Returns 0: done; -EAGAIN; or why it failed. Optional: the first read or write
     * performs it too. */
    int (*handshake)(struct stream *s);

    /* After a handshake that has failed: our last words and an end leave, and what the peer still sends is dropped: it
     * would make a close reset the connection, which would cost the peer those words. Returns as read does; 0: there is
     * nothing to wait for. Optional. */
    ssize_t (*linger)(struct stream *s, void *bytes, size_t n);

    int (*address)(const struct stream *s, enum stream_end end, struct addr *a);

    /* Would the next read find the end, or a failure? Consumes nothing. */
    bool (*has_ended)(struct stream *s);

    /* Has the peer gone altogether, not just closed its half? There may still be bytes to read, but nobody receives
     * what is written. */
    bool (*has_lost)(struct stream *s);

    /* Makes close reset the connection, so that the peer does not mistake a cut for the end of the stream. */
    void (*will_reset)(struct stream *s);

    /* The struct has moved to s. */
    void (*placed)(struct stream *s);

    /* Describes it in reports, if its addresses do not; or NULL. */
    size_t (*describe)(const struct stream *s, char *text, size_t n);

    int (*close_write)(struct stream *s); /* the peer reads an end after what was written */
    void (*close)(struct stream *s);      /* frees everything; called once */
};

struct stream {
    const struct stream_ops *ops;
    struct pollDesc *pd; /* NULL until somebody parks or sets a deadline */
    void *own;           /* the implementation's */
    int fd;              /* -1: no descriptor */
    uint8_t again;       /* after -EAGAIN: the side to wait for */
    uint32_t taken;      /* how many of the bytes last offered are in the stream but not counted yet */
};

/* The first member of the state of every stream over another. */
struct stream_over {
    struct stream below;
    struct loop *loop;
    struct late late;
    uint32_t events; /* for stream_stir */
};

/* Makes streams over others: a listener puts one over each connection it accepts, conn_cover over an open one. */
struct stream_layer {
    const struct stream_ops *ops; /* its close closes `below` as well */
    struct stream_over *(*make)(const struct stream_layer *l, bool accepts); /* NULL: no memory */
    void (*hold)(const struct stream_layer *l, int by); /* 1: a listener has it; -1: no longer. Or NULL */
};

/* s becomes a stream over what it was. 0, or -ENOMEM with s as it was. */
int stream_cover(struct stream *s, const struct stream_layer *l, struct loop *loop, bool accepts);

static inline struct stream *stream_below(const struct stream *s)
{
    return s->ops->covers ? &((struct stream_over *)s->own)->below : NULL;
}

/* Reports events (POLLER_READ, POLLER_WRITE) for the stream, after the next poll at the latest. */
static inline void stream_stir(struct stream_over *o, uint32_t events)
{
    o->events |= events;
    loop_late(o->loop, &o->late);
}

/* The stream has moved to s. */
void stream_placed(struct stream *s);

/* Sets the pollDesc of s and of all streams below; NULL: none any more. */
void stream_set_pd(struct stream *s, struct pollDesc *pd);

/* Other code has closed the descriptor: from now on the stream does not touch its number. */
void stream_disown(struct stream *s);

/* The functions of stream_ops, for any stream. Without an implementation: stream_address returns -ENOTSOCK,
 * stream_handshake 0, the questions false. */
int stream_handshake(struct stream *s);
int stream_address(const struct stream *s, enum stream_end end, struct addr *a);
bool stream_has_ended(struct stream *s);
bool stream_has_lost(struct stream *s);
void stream_will_reset(struct stream *s);

#endif
