/* SPDX-License-Identifier: MIT */
/* site.h - where in the script something was made: a few frames, each call path kept once.
 *
 * Reads Lua stacks. A path is a chain of nodes from the innermost frame outward. Equal paths share nodes, so
 * remembering where a task was started costs a look-up and eight bytes. The number of nodes is limited; beyond
 * the limit a path is cut at its outer end. */
#ifndef MOONPARK_SITE_H
#define MOONPARK_SITE_H

#include "base/base.h"

#include <lua.h>

struct site {
    const struct site *outer;
    struct site *next; /* with the same hash */
    int line;
    char path[]; /* the full path of the file; without a file, lua_Debug.short_src */
};

enum { SITE_FRAMES = 12, SITE_NODES_MAX = 16384, SITE_RECENT = 16 };

struct sites {
    struct site **buckets;
    const struct site *recent[SITE_RECENT]; /* single frames of the script that were asked for lately */
    uint32_t count;
    bool deep;         /* keep whole paths, not only up to the first frame of the script */
    char *library;     /* the prefix of the paths of moonpark's own files; NULL: not known */
    size_t library_length;
};

/* Sets the prefix of the paths of moonpark's own files. Returns 0 or -ENOMEM. */
int sites_set_library(struct sites *sites, const char *path);

/* Is the file of that path moonpark's own? */
bool site_is_own(const struct sites *sites, const char *path);

/* The first frame, from `level` outward, that is not moonpark's own; the whole path if there is none, or `deep` is set.
 * NULL if no code of the script runs there, or without memory: only reports depend on it. */
const struct site *site_here(struct sites *sites, lua_State *L, int level);

/* Pushes {"file.lua:3", ...}, innermost first. */
void site_push(lua_State *L, const struct site *s);

/* Pushes {text, fd, id, creator, site}: something that scripts made and have left open. text: NULL for none; fd:
 * negative for none. */
void site_push_made(lua_State *L, const char *text, int fd, uint64_t id, uint64_t creator, const struct site *s);

void sites_fini(struct sites *sites);

#endif
