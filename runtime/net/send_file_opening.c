/* SPDX-License-Identifier: MIT */
/* send_file_opening.c - copies both paths, because the waiting task may give up at any moment. */
#include "net/send_file_opening.h"

#include "base/sys.h"

#include <string.h>

static struct opening *of_job(struct job *j) { return container_of(j, struct opening, job); }

static void run(struct job *j)
{
    struct opening *o = of_job(j);
    o->fd = o->folder ? send_file_open_folder(o->root, o->path) : send_file_open(o->root, o->path, &o->info);
}

static void drop(struct job *j)
{
    struct opening *o = of_job(j);
    if (o->fd >= 0)
        sys_close(o->fd);
    sys_free(o);
}

struct opening *send_file_opening_new(const char *root, const char *path, bool folder)
{
    size_t n = strlen(path) + 1, m = root ? strlen(root) + 1 : 0;
    struct opening *o = sys_alloc(sizeof *o + n + m);
    if (!o)
        return NULL;
    o->job.run = run;
    o->job.drop = drop;
    o->fd = -1;
    o->folder = folder;
    o->path = memcpy(o->text, path, n);
    if (root)
        o->root = memcpy(o->text + n, root, m);
    return o;
}

int send_file_opening_take(struct opening *o)
{
    int fd = o->fd;
    o->fd = -1;
    return fd;
}
