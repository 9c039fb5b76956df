/* SPDX-License-Identifier: MIT */
/* site.h - where in the script something was made: a few frames, each call path kept once.
 *
 * Floor 8; reads Lua stacks. A path is a chain of nodes from the innermost frame outward; equal paths
 * share nodes, so remembering where a task was started costs a look-up and eight bytes. The number of
 * nodes is bounded; past the bound a path is cut short at its outer end. */
#ifndef MOONPARK_SITE_H
#define MOONPARK_SITE_H

#include "base.h"

#include <lua.h>

struct site {
    const struct site *outer;
    struct site *next; /* of the same hash */
    int line;
    char source[]; /* as lua_Debug.short_src */
};

struct sites {
    struct site **buckets;
    uint32_t count;
    bool deep;         /* keep whole paths, not only up to the first frame of the script's own */
    char library[128]; /* short_src prefix of moonpark's own files; "" where not known */
};

enum { SITE_FRAMES = 12, SITE_NODES_MAX = 16384 };

/* The path from `level` outward: to the first frame that is not moonpark's own, or the whole of it
 * where `deep` is set. NULL where there is none or no memory: nothing depends on it but reports. */
const struct site *site_here(struct sites *sites, lua_State *L, int level);

/* Pushes {"file.lua:3", ...}, innermost first. */
void site_push(lua_State *L, const struct site *s);

void sites_fini(struct sites *sites);

#endif
