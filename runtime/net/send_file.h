/* SPDX-License-Identifier: MIT */
/* send_file.h - opens a file to send, and reports its size, inode and time.
 *
 * Called by send_file_opening, conn_move and l_http_file. Opening may wait for a disk, so it is for helper threads.
 * A file in frequent use is in the kernel's caches; opening that in the loop's own thread is six times faster. */
#ifndef MOONPARK_SEND_FILE_H
#define MOONPARK_SEND_FILE_H

#include "base/base.h"

struct send_file_info {
    uint64_t size;
    uint64_t inode;
    int64_t modified; /* ns since 1970 */
};

/* Opens the regular file at `path` for reading. Returns a descriptor, which is the caller's. With a root, path is
 * relative to that folder and cannot leave it: symbolic links that lead out are refused, and on kernels without
 * openat2 so are all symbolic links.
 * -EISDIR: a folder; ERR_NOT_A_FILE: a FIFO, a device, a socket; -EXDEV, -ELOOP: it would lead out; -errno. */
int send_file_open(const char *root, const char *path, struct send_file_info *info);

/* The same for a folder, to list it. -ENOTDIR: it is not a folder. */
int send_file_open_folder(const char *root, const char *path);

/* Opens either one if that takes no waiting; -EAGAIN: it might, or the kernel cannot tell. */
int send_file_open_cached(const char *root, const char *path, bool folder, struct send_file_info *info);

#endif
