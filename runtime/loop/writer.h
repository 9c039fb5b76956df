/* SPDX-License-Identifier: MIT */
/* writer.h - lines for a descriptor, written by a thread of its own: a slow pipe or disk delays nobody else.
 *
 * Uses buf and clock; used by l_writer and l_stdout, for logs. It needs no loop.
 * A line that a pipe or terminal takes at once is written by the caller.
 * Lines wait in a queue of bounded size. Those that find it full, or cannot be written, are lost; they are counted, and
 * the count is written as soon as lines flow again. The descriptor is never made non-blocking, because other processes
 * may share it. The thread starts with the first line, and blocks all signals. */
#ifndef MOONPARK_WRITER_H
#define MOONPARK_WRITER_H

#include "base/base.h"

#include <sys/uio.h>

struct writer;

struct writer_counts {
    uint64_t written; /* bytes */
    uint64_t lost;    /* lines, since the start */
    size_t pending;   /* bytes that are not written yet */
    int error;        /* of the last write, or 0 */
};

/* path: NULL, and fd stays its owner's; or the absolute path of the file that fd is open for appending to: then the
 * writer owns fd, and whenever another file is at that path, or none, the next lines go to a new one. most: how many
 * bytes may wait. NULL: no memory. */
struct writer *writer_open(int fd, const char *path, size_t most);

/* What to write about lost lines, with its end: "%t" becomes the time (RFC 3339), "%n" how many there were, "%r" why.
 * to: where; w itself, or another writer, which must outlive w. Returns 0 or -ENOMEM. */
int writer_tell(struct writer *w, const char *form, struct writer *to);

void writer_limit(struct writer *w, size_t most);

/* Appends whole lines. patience: for how many ns it waits until they are written, if no others were waiting; 0: not at
 * all; negative: without limit, whatever is waiting. Returns 0, or -ENOBUFS, -ENOMEM: they are lost. */
int writer_put(struct writer *w, const struct iovec *parts, int count, int64_t patience);

/* Waits until nothing is pending, for `patience` ns at most; negative: without limit. Returns whether nothing is. */
bool writer_flush(struct writer *w, int64_t patience);

/* The same at the process's end, where it may be called several times: it does not wait again for a thread that has
 * written nothing since it waited in vain. */
bool writer_finish(struct writer *w, int64_t patience);

/* Writes what is pending within that time, and frees w, which may be NULL. A thread that hangs in the system is
 * abandoned. */
void writer_close(struct writer *w, int64_t patience);

void writer_count(struct writer *w, struct writer_counts *counts);

/* For signal handlers, when the process is about to die: gives the threads that long to write what is pending. */
void writer_settle(int64_t patience);

void writer_check(struct writer *w);

#endif
