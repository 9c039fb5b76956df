/* SPDX-License-Identifier: MIT */
/* send_file.h - opens a file that is to be sent, and says what it is.
 *
 * Called by opening, conn_move and l_http_file. Opening may wait for a disk, so it is for helper threads; but
 * a file that is used often is in the kernel's caches, and then the loop's own thread is six times quicker. */
#ifndef MOONPARK_SEND_FILE_H
#define MOONPARK_SEND_FILE_H

#include "base/base.h"

struct send_file_info {
    uint64_t size;
    uint64_t inode;
    int64_t modified; /* ns since 1970 */
};

/* Opens the regular file at `path` for reading: a descriptor, which is the caller's. With a root the path is one below
 * that folder, and no symbolic link leads out of it: where the kernel has no openat2 none is followed at all.
 * -EISDIR: a folder; ERR_NOT_A_FILE: a FIFO, a device, a socket; -EXDEV, -ELOOP: it would lead out; -errno. */
int send_file_open(const char *root, const char *path, struct send_file_info *info);

/* The same for a folder, to be listed. -ENOTDIR: it is none. */
int send_file_open_folder(const char *root, const char *path);

/* Either of them where that needs no waiting; -EAGAIN: it may need some, or the kernel cannot say. */
int send_file_open_cached(const char *root, const char *path, bool folder, struct send_file_info *info);

#endif
