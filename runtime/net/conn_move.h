/* SPDX-License-Identifier: MIT */
/* conn_move.h - what moves bytes without their passing through Lua: a file to a stream, and a
 * stream to a kernel pipe to another stream; see conn.h for what an operation is.
 *
 * Conn's frame holds the side for them. What they work with belongs to the
 * face: a userdata among the arguments of the call, so that no descriptor is ever without an owner. */
#ifndef MOONPARK_CONN_MOVE_H
#define MOONPARK_CONN_MOVE_H

#include "net/conn.h"
#include "net/kpipe.h"

/* The file of one sendfile. */
struct conn_file {
    const void *mark; /* the face's */
    const char *path; /* opened when its turn comes; or NULL: fd is open */
    int fd;           /* ours; -1: not open */
    struct loop *loop;
    struct job *job;  /* an opening's, while a thread is at it; NULL once freed */
    uint64_t offset;  /* where to begin */
    size_t length;    /* bytes asked for; SIZE_MAX: up to the end */
    bool measured;    /* op.length says how many there are to be sent */
    bool lasting;     /* the connection's timeout is for each piece that leaves, not for all of them */
    bool by_hand;     /* the kernel cannot move them: they are read and written */
};

/* A kernel pipe between two streams. */
struct conn_hose {
    const void *mark;
    struct kpipes *pool;
    struct kpipe pipe; /* open while it holds bytes */
    size_t held;       /* bytes in it */
    struct buf rest;   /* bytes taken out of it by hand */
    bool refused;      /* one of the streams cannot be spliced */
};

/* Of a sendfile. op.total: as a write's. */
struct conn_filing {
    struct conn_pause pause; /* while it is opened */
    struct conn_file *file;
    size_t share; /* bytes since others have run; 0 at first */
};

/* Fails with ERR_UNEXPECTED_EOF where the file ends before op.length, -EISDIR, ERR_NOT_A_FILE. */
extern const struct conn_op conn_sendfile;
void conn_file_close(struct conn_file *f); /* harmless twice */

/* Of a splice. */
struct conn_splicing {
    struct conn_hose *hose;
    size_t limit; /* bytes, at most; of conn_splice_in */
};

/* With an empty hose: fills it. op.total 0: nothing can be said this way (bytes are buffered, the stream may have
 * ended): an ordinary read tells. -EINVAL: not with this stream, or no pipe to be had. */
extern const struct conn_op conn_splice_in;

/* Empties it; op.total: as a write's. What is left in it after a failure is the caller's to drop. */
extern const struct conn_op conn_splice_out;

/* May this connection's bytes be spliced? */
bool conn_splices(const struct conn *c);

void conn_hose_init(struct conn_hose *h, struct kpipes *pool); /* h zeroed */
void conn_hose_fini(struct conn_hose *h); /* harmless twice, and where it was never begun */
bool conn_hose_is_empty(const struct conn_hose *h);

#endif
