/* SPDX-License-Identifier: MIT */
/* send_file_opening.h - opens a file that is to be sent on a helper thread: a disk or a file server may be slow.
 *
 * Called by conn_move and l_http_file where send_file_open_cached would have to wait. What it has opened
 * belongs to it until it is taken: who leaves before (pool_release) leaves no descriptor behind. */
#ifndef MOONPARK_SEND_FILE_OPENING_H
#define MOONPARK_SEND_FILE_OPENING_H

#include "loop/pool.h"
#include "net/send_file.h"

struct opening {
    struct job job; /* first */
    void *waiter;   /* the caller's, for job.done */
    int fd;         /* once it is done: open, or why not */
    bool folder;
    struct send_file_info info;
    const char *root, *path; /* point into text; root may be NULL */
    char text[];
};

/* To be submitted, with its job.done set. NULL: no memory. */
struct opening *send_file_opening_new(const char *root, const char *path, bool folder);

/* The descriptor, which is the caller's from now on; or why there is none. */
int send_file_opening_take(struct opening *o);

#endif
