/* SPDX-License-Identifier: MIT */
/* file.h - what is done with files, each as a job of a helper thread.
 *
 * Calls pool's struct job, folder, buf, sys_file. A job copies what it is given (paths, bytes to write),
 * so that whoever ordered it may leave while its thread is still at it. What it brings is in the job. */
#ifndef MOONPARK_FILE_H
#define MOONPARK_FILE_H

#include "base/buf.h"
#include "loop/pool.h"

#include <sys/types.h>

enum file_op {
    FILE_READ,   /* path, limit -> bytes; ERR_TOO_LONG where there are more */
    FILE_WRITE,  /* path, bytes, permissions (negative: not given); flag: atomically */
    FILE_APPEND, /* path, bytes, permissions */
    FILE_STAT,   /* path; flag: follow a link -> info */
    FILE_LIST,   /* path; flag: with types -> bytes as of folder_list, count */
    FILE_RENAME, /* path, to */
    FILE_REMOVE, /* path; flag: with all that is in it */
    FILE_MKDIR,  /* path, permissions; flag: with those above it */
    FILE_OPEN,   /* path, open_flags, permissions -> file */
    FILE_GET,    /* file, limit -> bytes: what one read brings; ERR_EOF */
    FILE_GET_AT, /* file, offset, limit -> bytes, fewer at the file's end alone; ERR_EOF */
    FILE_PUT,    /* file, bytes -> count: how many were written, also where it failed */
    FILE_PUT_AT, /* the same, at offset */
    FILE_SIZE,   /* file -> offset */
    FILE_SEEK,   /* file, offset, whence -> offset */
    FILE_SYNC,   /* file */
    FILE_CLOSE,  /* file: the only one that uses it */
    FILE_OPS,
};

/* An open file: of the object in a script and of its jobs under way. The last one to drop it closes it. */
struct file {
    int fd; /* -1: none (yet, or any more) */
    uint32_t uses;
    char path[];
};

struct file_info {
    unsigned mode;
    double size, modified, inode, uid, gid; /* bytes; seconds since 1970 */
};

struct file_job {
    struct job job; /* first */
    uint8_t op;
    bool flag;
    int result; /* 0 or a negative code */
    int open_flags, whence, permissions;
    int64_t offset;
    size_t limit, count;
    struct buf bytes;
    struct file_info info;
    struct file *file;
    void *waiter; /* the face's: who waits */
    char *path, *to; /* point into text, or at the file's path */
    char text[];
};

/* On a path; `to` is NULL where there is no second one. NULL: no memory. */
struct file_job *file_job_path(enum file_op op, const char *path, const char *to);

/* On an open file, of which it is one use more. */
struct file_job *file_job_on(enum file_op op, struct file *f);

/* Frees what is not in a pool, or no more. */
void file_job_free(struct file_job *j);

/* One use less. */
void file_drop(struct file *f);

/* Is there one use alone? */
bool file_is_alone(const struct file *f);

#endif
