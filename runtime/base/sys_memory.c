/* SPDX-License-Identifier: MIT */
/* sys_memory.c - thin wrappers, as in sys.c. flock(2) would not do for the lock: a descriptor that was passed on shares
 * its open file, and with it flock's lock. */
#define _GNU_SOURCE
#include "base/sys_memory.h"

#include "base/sys_call.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static int fix_size(int fd, uint64_t size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    int r;
    do
        r = ftruncate(fd, (off_t)size);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        r = fcntl(fd, F_ADD_SEALS, SEALS);
    return r < 0 ? -errno : 0;
}

int sys_memfd(const char *name, uint64_t size)
{
    FAULT(EMFILE);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = fix_size(fd, size);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int64_t sys_memfd_size(int fd)
{
    struct stat st;
    FAULT(EBADF);
    if (fstat(fd, &st) < 0)
        return -errno;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 || !(seals & F_SEAL_SHRINK) ? -EINVAL : st.st_size;
}

int sys_map(void **at, int fd, size_t size)
{
    FAULT(ENOMEM);
    void *got = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (got == MAP_FAILED)
        return -errno;
    *at = got;
    return 0;
}

void sys_unmap(void *at, size_t size)
{
    must(munmap(at, size) == 0);
}

static int lock_record(int fd, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    int r;
    RETRY(r, fcntl(fd, F_SETLKW, &whole));
}

int sys_lock_record(int fd)
{
    FAULT(ENOLCK);
    return lock_record(fd, F_WRLCK);
}

void sys_unlock_record(int fd) { must(lock_record(fd, F_UNLCK) == 0); }

void sys_nap(int64_t ns)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)}, NULL);
}
