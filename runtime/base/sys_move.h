/* SPDX-License-Identifier: MIT */
/* sys_move.h - system calls that move bytes between descriptors; each can be made to fail in the hard build.
 *
 * As in sys.h, all return what the system returned, or -errno, and retry on EINTR. None of them raises SIGPIPE:
 * they return -EPIPE, whatever the process does with that signal. */
#ifndef MOONPARK_SYS_MOVE_H
#define MOONPARK_SYS_MOVE_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

ssize_t sys_writev(int fd, const struct iovec *iov, int count);

/* -EINVAL: not possible between these two. The file's own position does not change. */
ssize_t sys_sendfile(int to, int file, uint64_t offset, size_t n);
ssize_t sys_splice_in(int from, int pipe, size_t n); /* the caller holds both ends of pipe; never waits for the pipe */
ssize_t sys_splice_out(int pipe, int to, size_t n);
int sys_set_pipe_size(int fd, size_t n);

/* Like sys_send; more bytes follow at once and may be sent together with these (MSG_MORE). */
ssize_t sys_send_more(int fd, const void *bytes, size_t n);

int sys_file_size(int fd, uint64_t *size); /* 1; 0 if it is not a regular file; -EISDIR, ... */

/* For logs, so no call fails on purpose. Write what can be written without waiting, whether the descriptor is
 * non-blocking or not; a write of up to PIPE_BUF bytes to a pipe is whole. -EOPNOTSUPP: the kernel cannot, with this
 * kind. The second one is for terminals, which it then looks at first; few bytes must be given. */
ssize_t sys_write_now(int fd, const struct iovec *iov, int count);
ssize_t sys_write_terminal(int fd, const struct iovec *iov, int count);

#endif
