/* SPDX-License-Identifier: MIT */
/* sys_share.h - system calls for memory that processes share; each can be made to fail in the hard build.
 *
 * As in sys.h, all return what the system returned, or -errno. */
#ifndef MOONPARK_SYS_SHARE_H
#define MOONPARK_SYS_SHARE_H

#include "base/base.h"

/* A segment of n zeroed bytes that is neither cut nor grown any more: its mappings stay good. Close-on-exec. */
int sys_segment(size_t n);
int64_t sys_segment_size(int fd); /* -EINVAL: it is none, or could be cut */

/* Maps the first n bytes of a segment. */
int sys_map(int fd, size_t n, void **out);
void sys_unmap(void *at, size_t n);

int sys_eventfd(void); /* non-blocking, close-on-exec */

#endif
