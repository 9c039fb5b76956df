/* SPDX-License-Identifier: MIT */
/* unix_listen.h - listening on a unix address: permissions, paths left by dead servers, removal.
 *
 * Waits for at most UNIX_LOCK_TRIES milliseconds if another process is doing the same in the same folder.
 *
 * A path with a socket file that no process holds is taken over. The folder is locked (flock) from the check to
 * the end of that, so that two servers that start at once cannot remove each other's path. If the folder cannot be
 * opened or locked, nothing is removed. */
#ifndef MOONPARK_UNIX_LISTEN_H
#define MOONPARK_UNIX_LISTEN_H

#include "net/addr.h"

enum { UNIX_LOCK_TRIES = 50 };

struct unix_listen_options {
    int backlog; /* 0: the system's maximum */
    int mode;    /* permission bits of the path, whatever the umask; negative: left to the umask */
    bool reuseport;
    bool unlink; /* remove the path when the listener is closed */
};

/* A bound path. */
struct unix_path;

/* Returns a listening descriptor, or -errno with nothing left behind. *path: what must be removed at the end, or NULL;
 * it belongs to the caller. The path never grants more than mode, not even for a moment. */
int unix_listen(const struct addr *a, const struct unix_listen_options *options, struct unix_path **path);

/* Prepares the removal of a socket that will be bound to a, which has a path. NULL: no memory. */
struct unix_path *unix_path_new(const struct addr *a);

/* Called after bind: notes which file was created, and sets its permissions to mode unless that is negative.
 * Returns 0 or -errno. */
int unix_path_bound(struct unix_path *p, int mode);

/* Removes the path if it still leads to the socket that was bound there. Frees p, which may be NULL. */
void unix_path_remove(struct unix_path *p);

/* Only frees p. */
void unix_path_forget(struct unix_path *p);

#endif
