/* SPDX-License-Identifier: MIT */
/* sys_file.h - system calls on files; each can be made to fail in the hard build.
 *
 * As in sys.h, all return what the system returned, or -errno, and retry on EINTR. They block: except for those of
 * inotify and sys_open_cached they are for helper threads, and several threads may call them at once. `dir` is the
 * descriptor of a folder, or AT_FDCWD. Descriptors are close-on-exec. */
#ifndef MOONPARK_SYS_FILE_H
#define MOONPARK_SYS_FILE_H

#include "base/base.h"

#include <sys/types.h>

struct stat;

/* Opens the null device in the place of a standard descriptor (0, 1, 2) that is closed, so that no other descriptor
 * takes that place, and gets what is written there. */
void sys_fill_standard(void);

int sys_openat(int dir, const char *path, int flags, unsigned permissions);
/* Opens a path below that folder: nothing on the way may lead out of it, including links (openat2, RESOLVE_BENEATH).
 * -EXDEV: something would; -EAGAIN: the kernel could not be sure; -ENOSYS: the kernel has no such call. */
int sys_open_beneath(int dir, const char *path, int flags);
/* Opens only if the kernel's caches show that it need not wait for a disk; `beneath` as above. -EAGAIN: it may have to
 * wait; -ENOSYS, -EINVAL, -EPERM: the kernel has no such call, or may not use it. */
int sys_open_cached(int dir, const char *path, int flags, bool beneath);
int sys_close_file(int fd); /* returns the system's error; the descriptor is closed anyway */
ssize_t sys_file_read(int fd, void *bytes, size_t n);
ssize_t sys_file_write(int fd, const void *bytes, size_t n);
ssize_t sys_pread(int fd, void *bytes, size_t n, int64_t offset);
/* Reads only what the kernel has in its caches. -EAGAIN: it has to wait for a disk; -EOPNOTSUPP: the file system cannot
 * tell. */
ssize_t sys_pread_cached(int fd, void *bytes, size_t n, int64_t offset);
ssize_t sys_pwrite(int fd, const void *bytes, size_t n, int64_t offset);
int64_t sys_lseek(int fd, int64_t offset, int whence);
int sys_fsync(int fd);
int sys_fstat(int fd, struct stat *st);
int sys_fstatat(int dir, const char *path, struct stat *st, int flags);
int sys_rename(const char *from, const char *to);
int sys_unlinkat(int dir, const char *path, int flags);
int sys_mkdir(const char *path, unsigned permissions);
ssize_t sys_getdents(int fd, void *entries, size_t n); /* struct dirent64; 0 at the end */

/* Locks the open file for this process alone, until its last descriptor is closed, however the process ends (flock).
 * -EAGAIN: somebody else has it. Does not wait. */
int sys_flock(int fd);

/* Maps size bytes of the file from `offset` on, shared, for reading and writing. -EINVAL: the file is too short, or
 * they do not lie within one page. Closing fd leaves the mapping. */
int sys_map_part(int fd, int64_t offset, size_t size, void **bytes);
void sys_unmap_part(void *bytes, size_t size);

int sys_inotify(void); /* non-blocking */
int sys_inotify_add(int fd, const char *path, uint32_t mask);
ssize_t sys_inotify_read(int fd, void *events, size_t n); /* whole events, never cut short */

#endif
