/* SPDX-License-Identifier: MIT */
/* sys_share.c - memfd_create and its seals, mmap, eventfd. */
#define _GNU_SOURCE
#include "base/sys_share.h"

#include "base/sys.h"
#include "base/sys_call.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static int make(size_t n)
{
    int fd = memfd_create("moonpark", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)n) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return fd;
    int r = -errno;
    sys_close(fd);
    return r;
}

int sys_segment(size_t n)
{
    FAULT(EMFILE);
    return make(n);
}

int64_t sys_segment_size(int fd)
{
    FAULT(EBADF);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 || (seals & SEALS) != SEALS ? -EINVAL : (int64_t)st.st_size;
}

int sys_map(int fd, size_t n, void **out)
{
    FAULT(ENOMEM);
    void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *out = at;
    return 0;
}

void sys_unmap(void *at, size_t n) { (void)munmap(at, n); }

int sys_eventfd(void)
{
    int r;
    FAULT(EMFILE);
    RETRY(r, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}
