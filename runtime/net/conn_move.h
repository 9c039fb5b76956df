/* SPDX-License-Identifier: MIT */
/* conn_move.h - operations that move bytes without passing them through Lua: from a file to a stream, and from a stream
 * through a kernel pipe to another stream; see conn.h for what an operation is.
 *
 * The files and pipes belong to the face: each is in a userdata among the call's arguments, so every descriptor has an
 * owner at all times. */
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
    struct job *job;  /* the opening, while a helper thread runs it; NULL once freed */
    uint64_t offset;  /* where to begin */
    size_t length;    /* bytes asked for; SIZE_MAX: up to the end */
    bool measured;    /* op.length is the number of bytes to send */
    bool lasting;     /* the connection's timeout is per piece sent, not for the whole file */
    bool by_hand;     /* the kernel cannot move the bytes: read and write them */
};

/* A kernel pipe between two streams. */
struct conn_hose {
    const void *mark;
    struct kpipes *pool;
    struct kpipe pipe; /* open while it holds bytes */
    size_t held;       /* bytes in the pipe */
    struct buf rest;   /* bytes read out of the pipe */
    bool refused;      /* one of the streams cannot be spliced */
};

/* The parameters of a sendfile. op.total: as in a write. */
struct conn_filing {
    struct conn_pause pause; /* while a helper thread opens the file */
    struct conn_file *file;
    size_t share; /* bytes sent since other tasks ran; 0 at first */
};

/* Fails with ERR_UNEXPECTED_EOF if the file ends before op.length, -EISDIR, ERR_NOT_A_FILE, or a code of the system. */
extern const struct conn_op conn_sendfile;
void conn_file_close(struct conn_file *f); /* harmless twice */

/* The parameters of a splice. */
struct conn_splicing {
    struct conn_hose *hose;
    size_t limit; /* the most bytes that conn_splice_in takes */
};

/* Fills an empty hose. op.total 0: a splice cannot tell what comes next (bytes are buffered, or the stream may have
 * ended), so use an ordinary read. -EINVAL: this stream cannot be spliced, or no pipe is available. */
extern const struct conn_op conn_splice_in;

/* Empties it; op.total: as in a write. After a failure the caller drops what is left in it. */
extern const struct conn_op conn_splice_out;

/* Can this connection's bytes be spliced? */
bool conn_splices(const struct conn *c);

void conn_hose_init(struct conn_hose *h, struct kpipes *pool); /* h zeroed */
void conn_hose_fini(struct conn_hose *h); /* harmless twice, or without conn_hose_init */
bool conn_hose_is_empty(const struct conn_hose *h);

#endif
