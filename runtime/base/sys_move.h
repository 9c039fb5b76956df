/* SPDX-License-Identifier: MIT */
/* sys_move.h - the system calls that move bytes between descriptors, each able to fail in the hard build.
 *
 * As in sys.h: what the system returned, or -errno; EINTR is retried. None of them raises SIGPIPE:
 * they return -EPIPE, whatever the process does with that signal. */
#ifndef MOONPARK_SYS_MOVE_H
#define MOONPARK_SYS_MOVE_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

ssize_t sys_writev(int fd, const struct iovec *iov, int count);

/* -EINVAL: it cannot be done between these two. The file's own position stays where it is. */
ssize_t sys_sendfile(int to, int file, uint64_t offset, size_t n);
ssize_t sys_splice_in(int from, int pipe, size_t n); /* pipe: the caller holds both its ends; never waits for it */
ssize_t sys_splice_out(int pipe, int to, size_t n);
int sys_set_pipe_size(int fd, size_t n);

/* As sys_send; more bytes follow at once, and may leave together with these (MSG_MORE). */
ssize_t sys_send_more(int fd, const void *bytes, size_t n);

int sys_file_size(int fd, uint64_t *size); /* 1; 0 where it is no regular file; -EISDIR, ... */

#endif
