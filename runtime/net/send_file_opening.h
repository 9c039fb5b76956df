/* SPDX-License-Identifier: MIT */
/* opening.h - a file that is to be sent, opened by a helper thread: a disk or a file server may take its time.
 *
 * Floor 3; called by conn_move and l_http_file where http_file_open_cached would have to wait. What it has opened
 * belongs to it until it is taken: who leaves before (pool_release) leaves no descriptor behind. */
#ifndef MOONPARK_OPENING_H
#define MOONPARK_OPENING_H

#include "net/send_file.h"
#include "loop/pool.h"

struct opening {
    struct job job; /* first */
    void *waiter;   /* the caller's, for job.done */
    int fd;         /* once it is done: open, or why not */
    bool folder;
    struct http_file_info info;
    const char *root, *path; /* point into text; root may be NULL */
    char text[];
};

/* To be submitted, with its job.done set. NULL: no memory. */
struct opening *opening_new(const char *root, const char *path, bool folder);

/* The descriptor, which is the caller's from now on; or why there is none. */
int opening_take(struct opening *o);

#endif
