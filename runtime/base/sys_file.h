/* SPDX-License-Identifier: MIT */
/* sys_file.h - the system calls on files, each able to fail in the hard build.
 *
 * As in sys.h: what the system returned, or -errno; EINTR is retried. They block: all but those of
 * inotify and sys_open_cached are for helper threads, and may run in several at once. `dir` is a folder's descriptor
 * or AT_FDCWD. Descriptors are close-on-exec. */
#ifndef MOONPARK_SYS_FILE_H
#define MOONPARK_SYS_FILE_H

#include "base/base.h"

#include <sys/types.h>

struct stat;

int sys_openat(int dir, const char *path, int flags, unsigned permissions);
/* Below that folder: nothing on the way may lead out of it, no link either (openat2, RESOLVE_BENEATH). -EXDEV:
 * something would; -EAGAIN: the kernel could not be sure; -ENOSYS: it has no such call. */
int sys_open_beneath(int dir, const char *path, int flags);
/* Where the kernel need not wait for a disk, which it knows from its caches; `beneath` as above. -EAGAIN: it may have
 * to; -ENOSYS, -EINVAL, -EPERM: it has no such call, or may not say. */
int sys_open_cached(int dir, const char *path, int flags, bool beneath);
int sys_close_file(int fd); /* says what the system says of it; the descriptor is gone anyway */
ssize_t sys_file_read(int fd, void *bytes, size_t n);
ssize_t sys_file_write(int fd, const void *bytes, size_t n);
ssize_t sys_pread(int fd, void *bytes, size_t n, int64_t offset);
ssize_t sys_pwrite(int fd, const void *bytes, size_t n, int64_t offset);
int64_t sys_lseek(int fd, int64_t offset, int whence);
int sys_fsync(int fd);
int sys_fstat(int fd, struct stat *st);
int sys_fstatat(int dir, const char *path, struct stat *st, int flags);
int sys_rename(const char *from, const char *to);
int sys_unlinkat(int dir, const char *path, int flags);
int sys_mkdir(const char *path, unsigned permissions);
ssize_t sys_getdents(int fd, void *entries, size_t n); /* struct dirent64; 0 at the end */

int sys_inotify(void); /* non-blocking */
int sys_inotify_add(int fd, const char *path, uint32_t mask);
ssize_t sys_inotify_read(int fd, void *events, size_t n); /* whole events, never cut short */

#endif
