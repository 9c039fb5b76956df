/* SPDX-License-Identifier: MIT */
/* site.h - where in the script something was made: a few frames, each call path kept once.
 *
 * Floor 7; reads Lua stacks. A path is a chain of nodes from the innermost frame outward; equal paths
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
};

enum { SITE_FRAMES = 3, SITE_NODES_MAX = 16384 };

/* The path of at most `frames` (<= SITE_FRAMES) Lua frames from `level` on; NULL where there is none
 * or no memory: nothing depends on it but reports. */
const struct site *site_here(struct sites *sites, lua_State *L, int level, int frames);

/* Pushes {"file.lua:3", ...}, innermost first. */
void site_push(lua_State *L, const struct site *s);

void sites_fini(struct sites *sites);

#endif
