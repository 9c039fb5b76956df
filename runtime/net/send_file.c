/* SPDX-License-Identifier: MIT */
/* send_file.c - the kernel keeps a path beneath its root (openat2): checking the text cannot, because links change. */
#define _GNU_SOURCE
#include "net/send_file.h"

#include "base/errors.h"
#include "base/sys.h"
#include "base/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY, /* never waits for a FIFO's writer */
    FOLDER_FLAGS = O_RDONLY | O_DIRECTORY,
    TRIES = 8, /* while names on the way are changed under the kernel's eyes */
};

/* The next segment of *path, terminated, and *path behind it. 0, or why it cannot be one. */
static int take_segment(const char **path, char name[static NAME_MAX + 1])
{
    size_t n = strcspn(*path, "/");
    if (n > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *path, n);
    name[n] = 0;
    *path += n + ((*path)[n] == '/');
    return n == 0 || strcmp(name, "..") == 0 ? -ENOENT : 0;
}

/* Without openat2: one segment after another, and no link is followed. `dir` stays open. */
static int walk(int dir, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    int at = dir, next = -1;
    do {
        int r = take_segment(&path, name);
        if (r == 0)
            r = next = sys_openat(at, name, O_NOFOLLOW | (*path ? O_PATH | O_DIRECTORY : flags), 0);
        if (at != dir)
            sys_close(at);
        if (r < 0)
            return r;
        at = next;
    } while (*path);
    return at;
}

static int open_beneath(const char *root, const char *path, int flags)
{
    int dir = sys_openat(AT_FDCWD, root, O_PATH | O_DIRECTORY, 0);
    if (dir < 0)
        return dir;
    int fd = -EAGAIN;
    for (int i = 0; i < TRIES && fd == -EAGAIN; i++)
        fd = sys_open_beneath(dir, path, flags);
    if (fd == -ENOSYS || fd == -EPERM || fd == -EAGAIN) /* EPERM: a sandbox that does not know the call */
        fd = walk(dir, path, flags);
    sys_close(dir);
    return fd;
}

static int open_either(const char *root, const char *path, int flags)
{
    return root ? open_beneath(root, path, flags) : sys_openat(AT_FDCWD, path, flags, 0);
}

static int measure(int fd, struct send_file_info *info)
{
    struct stat st;
    int r = sys_fstat(fd, &st);
    if (r < 0)
        return r;
    info->size = (uint64_t)st.st_size;
    info->inode = st.st_ino;
    info->modified = st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec;
    return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : ERR_NOT_A_FILE;
}

/* fd, where it is one and a file. */
static int measured(int fd, struct send_file_info *info)
{
    int r = fd < 0 ? fd : measure(fd, info);
    if (fd >= 0 && r < 0)
        sys_close(fd);
    return r < 0 ? r : fd;
}

int send_file_open(const char *root, const char *path, struct send_file_info *info)
{
    return measured(open_either(root, path, FILE_FLAGS), info);
}

static bool is_unsure(int r) { return r == -ENOSYS || r == -EINVAL || r == -EPERM; }

int send_file_open_cached(const char *root, const char *path, bool folder, struct send_file_info *info)
{
    int dir = root ? sys_open_cached(AT_FDCWD, root, O_PATH | O_DIRECTORY, false) : AT_FDCWD;
    if (root && dir < 0)
        return -EAGAIN;
    int fd = sys_open_cached(dir, path, folder ? FOLDER_FLAGS : FILE_FLAGS, root != NULL);
    if (root)
        sys_close(dir);
    if (is_unsure(fd))
        return -EAGAIN;
    return folder ? fd : measured(fd, info);
}

int send_file_open_folder(const char *root, const char *path) { return open_either(root, path, FOLDER_FLAGS); }
