/* SPDX-License-Identifier: MIT */
/* unix_listen.h - listening on a unix address: permissions, paths that a dead server has left, removal.
 *
 * Called by conn and the Lua face. Waits for at most UNIX_LOCK_TRIES milliseconds, where somebody else
 * is just doing the same in the same folder.
 *
 * A path at which a socket file lies that no process holds is taken over. Whoever does that has the folder
 * locked (flock) from the look to the end, so that two servers that start at once cannot remove each other's.
 * Where the folder cannot be opened or locked nothing is ever removed. */
#ifndef MOONPARK_UNIX_LISTEN_H
#define MOONPARK_UNIX_LISTEN_H

#include "net/addr.h"

enum { UNIX_LOCK_TRIES = 50 };

struct unix_listen_options {
    int backlog; /* 0: the system's most */
    int mode;    /* permission bits of the path, not narrowed by the umask; negative: what the umask leaves */
    bool reuseport;
    bool unlink; /* the path goes with the listener */
};

/* A path as it was bound. */
struct unix_path;

/* A listening descriptor, or -errno with nothing left behind. *path: what is to be removed at its end, NULL:
 * nothing; it is the caller's. The path never grants more than mode, not even for a moment. */
int unix_listen(const struct addr *a, const struct unix_listen_options *options, struct unix_path **path);

/* The path of a, which has one, for the removal of a socket that is yet to be bound there. NULL: no memory. */
struct unix_path *unix_path_new(const struct addr *a);

/* It is bound: notes which file has come to be there, and gives it mode's permissions, if that is not negative.
 * 0 or -errno. */
int unix_path_bound(struct unix_path *p, int mode);

/* Removes the path, if it still leads to the socket that was bound there; frees p, which may be NULL. */
void unix_path_remove(struct unix_path *p);

/* Frees p alone. */
void unix_path_forget(struct unix_path *p);

#endif
