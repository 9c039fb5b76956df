/* SPDX-License-Identifier: MIT */
/* sys_file.c - thin wrappers, as in sys.c. Writing to a pipe without a reader is -EPIPE in helper threads,
 * which block SIGPIPE. */
#define _GNU_SOURCE
#include "base/sys_file.h"

#include "base/sys_call.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

void sys_fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

int sys_openat(int dir, const char *path, int flags, unsigned permissions)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, openat(dir, path, flags | O_CLOEXEC, permissions));
}

int sys_open_beneath(int dir, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int r;
    FAULT(ENOSYS);
    RETRY(r, (int)syscall(SYS_openat2, dir, path, &how, sizeof how));
}

int sys_open_cached(int dir, const char *path, int flags, bool beneath)
{
    const uint64_t below = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_CACHED | (beneath ? below : 0)};
    int r;
    FAULT(EAGAIN);
    RETRY(r, (int)syscall(SYS_openat2, dir, path, &how, sizeof how));
}

/* Never retried: on Linux the descriptor is gone even after EINTR. */
int sys_close_file(int fd)
{
    int fault = hard_syscall(EIO);
    int r = close(fd) < 0 && errno != EINTR ? -errno : 0;
    return fault ? fault : r;
}

ssize_t sys_file_read(int fd, void *bytes, size_t n)
{
    ssize_t r;
    FAULT(EIO);
    RETRY(r, read(fd, bytes, hard_trim(n)));
}

ssize_t sys_file_write(int fd, const void *bytes, size_t n)
{
    ssize_t r;
    FAULT(ENOSPC);
    RETRY(r, write(fd, bytes, hard_trim(n)));
}

ssize_t sys_pread_cached(int fd, void *bytes, size_t n, int64_t offset)
{
    struct iovec piece = {bytes, hard_trim(n)};
    ssize_t r;
    FAULT(EAGAIN);
    RETRY(r, preadv2(fd, &piece, 1, offset, RWF_NOWAIT));
}

ssize_t sys_pread(int fd, void *bytes, size_t n, int64_t offset)
{
    ssize_t r;
    FAULT(EIO);
    RETRY(r, pread(fd, bytes, hard_trim(n), offset));
}

ssize_t sys_pwrite(int fd, const void *bytes, size_t n, int64_t offset)
{
    ssize_t r;
    FAULT(ENOSPC);
    RETRY(r, pwrite(fd, bytes, hard_trim(n), offset));
}

int64_t sys_lseek(int fd, int64_t offset, int whence)
{
    FAULT(EIO);
    off_t r = lseek(fd, offset, whence);
    return r < 0 ? -errno : r;
}

int sys_fsync(int fd)
{
    int r;
    FAULT(EIO);
    RETRY(r, fsync(fd));
}

int sys_fstat(int fd, struct stat *st)
{
    FAULT(EIO);
    return fstat(fd, st) < 0 ? -errno : 0;
}

int sys_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    FAULT(EACCES);
    return fstatat(dir, path, st, flags) < 0 ? -errno : 0;
}

int sys_rename(const char *from, const char *to)
{
    FAULT(EACCES);
    return rename(from, to) < 0 ? -errno : 0;
}

int sys_unlinkat(int dir, const char *path, int flags)
{
    FAULT(EACCES);
    return unlinkat(dir, path, flags) < 0 ? -errno : 0;
}

int sys_mkdir(const char *path, unsigned permissions)
{
    FAULT(ENOSPC);
    return mkdir(path, permissions) < 0 ? -errno : 0;
}

ssize_t sys_getdents(int fd, void *entries, size_t n)
{
    FAULT(EIO);
    ssize_t r = getdents64(fd, entries, n);
    return r < 0 ? -errno : r;
}

int sys_flock(int fd)
{
    int r;
    FAULT(ENOLCK);
    RETRY(r, flock(fd, LOCK_EX | LOCK_NB));
}

/* A page is the least that can be mapped. Writing beyond the end of a file would raise SIGBUS. */
int sys_map_part(int fd, int64_t offset, size_t size, void **bytes)
{
    int64_t page = sysconf(_SC_PAGESIZE), inside = offset % page;
    struct stat st;
    FAULT(ENOMEM);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (offset < 0 || st.st_size - (int64_t)size < offset || inside + (int64_t)size > page)
        return -EINVAL;
    char *start = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset - inside);
    if (start == MAP_FAILED)
        return -errno;
    *bytes = start + inside;
    return 0;
}

void sys_unmap_part(void *bytes, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)bytes / page * page;
    must((uintptr_t)bytes + size <= start + page && munmap((void *)start, page) == 0);
}

int sys_inotify(void)
{
    FAULT(EMFILE);
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int sys_inotify_add(int fd, const char *path, uint32_t mask)
{
    FAULT(ENOSPC);
    int watch = inotify_add_watch(fd, path, mask);
    return watch < 0 ? -errno : watch;
}

ssize_t sys_inotify_read(int fd, void *events, size_t n)
{
    ssize_t r;
    FAULT(EIO);
    RETRY(r, read(fd, events, n));
}
