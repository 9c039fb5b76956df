/* SPDX-License-Identifier: MIT */
/* file.h - operations on files, each a job for a helper thread.
 *
 * A job copies its arguments (paths, bytes to write), so that the task that waits for it may leave while a
 * thread is still running it. The results are in the job. */
#ifndef MOONPARK_FILE_H
#define MOONPARK_FILE_H

#include "base/buf.h"
#include "loop/pool.h"

#include <sys/types.h>

enum file_op {
    FILE_READ,   /* path, limit -> bytes; ERR_TOO_LONG if there are more */
    FILE_WRITE,  /* path, bytes, permissions (negative: not given); flag: atomically */
    FILE_APPEND, /* path, bytes, permissions */
    FILE_STAT,   /* path; flag: follow a link -> info */
    FILE_LIST,   /* path, detail -> bytes as from folder_list, count */
    FILE_RENAME, /* path, to */
    FILE_REMOVE, /* path; flag: with everything in it */
    FILE_MKDIR,  /* path, permissions; flag: with its parents */
    FILE_OPEN,   /* path, open_flags, permissions -> file */
    FILE_GET,    /* file, limit -> bytes of one read; ERR_EOF */
    FILE_GET_AT, /* file, offset, limit -> bytes, fewer only at the file's end; ERR_EOF */
    FILE_PUT,    /* file, bytes -> count: how many were written, even if it failed */
    FILE_PUT_AT, /* the same, at offset */
    FILE_SIZE,   /* file -> offset */
    FILE_SEEK,   /* file, offset, whence -> offset */
    FILE_SYNC,   /* file */
    FILE_CLOSE,  /* file, which must have no other users */
    FILE_OPS,
};

/* An open file, shared by a script's object and the running jobs. Dropping the last use closes it. */
struct file {
    int fd; /* -1: not open yet, or closed */
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
    uint8_t detail; /* enum folder_detail */
    int result;     /* 0 or a negative code */
    int open_flags, whence, permissions;
    int64_t offset;
    size_t limit, count;
    struct buf bytes;
    struct file_info info;
    struct file *file;
    void *waiter; /* the face's: the waiting task */
    char *path, *to; /* point into text, or at the file's path */
    char text[];
};

/* Makes a job on a path; `to`: the second path or NULL. NULL: no memory. */
struct file_job *file_job_path(enum file_op op, const char *path, const char *to);

/* Makes a job on an open file, and counts as one of its users. NULL: no memory. */
struct file_job *file_job_on(enum file_op op, struct file *f);

/* Frees a job that is not in a pool, or no longer. */
void file_job_free(struct file_job *j);

/* Drops one use. */
void file_drop(struct file *f);

/* Is there only one use? */
bool file_is_alone(const struct file *f);

#endif
