/* SPDX-License-Identifier: MIT */
/* send_file_opening.h - opens a file to send, on a helper thread: a disk or a file server may be slow.
 *
 * Called by conn_move and l_http_file if send_file_open_cached would have to wait. The job owns the open descriptor
 * until it is taken, so a task that gives up before (pool_release) leaks none. */
#ifndef MOONPARK_SEND_FILE_OPENING_H
#define MOONPARK_SEND_FILE_OPENING_H

#include "loop/pool.h"
#include "net/send_file.h"

struct opening {
    struct job job; /* first */
    void *waiter;   /* the caller's, for job.done */
    int fd;         /* once it is done: the descriptor, or a negative code */
    bool folder;
    struct send_file_info info;
    const char *root, *path; /* point into text; root may be NULL */
    char text[];
};

/* Makes a job: set its job.done, then submit it. NULL: no memory. */
struct opening *send_file_opening_new(const char *root, const char *path, bool folder);

/* Takes the descriptor, which is the caller's from now on; or returns a negative code. */
int send_file_opening_take(struct opening *o);

#endif
