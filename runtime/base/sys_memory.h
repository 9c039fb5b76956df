/* SPDX-License-Identifier: MIT */
/* sys_memory.h - system calls for memory that processes share; each can be made to fail in the hard build.
 *
 * As in sys.h, all return what the system returned, or -errno. Such memory is a file without a name (memfd), which is
 * mapped by every process that has its descriptor, and which goes when the last of them has ended. */
#ifndef MOONPARK_SYS_MEMORY_H
#define MOONPARK_SYS_MEMORY_H

#include "base/base.h"

/* A new file of `size` zero bytes, whose size nobody can change (seals); close-on-exec. `name` is for /proc. */
int sys_memfd(const char *name, uint64_t size);

/* Returns the size; -EINVAL if the descriptor is of something else, or of a file whose size may change. */
int64_t sys_memfd_size(int fd);

int sys_map(void **at, int fd, size_t size); /* readable and writable, shared */
void sys_unmap(void *at, size_t size);

/* Excludes the other processes that call this, until it is released or the process ends, however it ends. Waits.
 * Closing any descriptor of the same file releases it too. */
int sys_lock_record(int fd);
void sys_unlock_record(int fd);

void sys_nap(int64_t ns); /* blocks the thread; may end early */

#endif
