/* SPDX-License-Identifier: MIT */
/* site.c - a hash table of call paths, built from the outermost frame kept to the innermost. */
#include "site.h"

#include "sys.h"

#include <string.h>

enum { BUCKETS = 1024 };

static uint32_t hash(const struct site *outer, const char *source, int line)
{
    uint32_t h = 2166136261u ^ (uint32_t)line ^ (uint32_t)((uintptr_t)outer >> 4);
    for (; *source; source++)
        h = (h ^ (uint8_t)*source) * 16777619u;
    return h % BUCKETS;
}

static struct site *add(struct sites *sites, uint32_t bucket, const struct site *outer,
                        const char *source, int line)
{
    if (sites->count >= SITE_NODES_MAX)
        return NULL;
    size_t n = strlen(source) + 1;
    struct site *s = sys_alloc(sizeof *s + n);
    if (!s)
        return NULL;
    s->outer = outer;
    s->line = line;
    memcpy(s->source, source, n);
    s->next = sites->buckets[bucket];
    sites->buckets[bucket] = s;
    sites->count++;
    return s;
}

static const struct site *intern(struct sites *sites, const struct site *outer, const char *source,
                                 int line)
{
    uint32_t bucket = hash(outer, source, line);
    for (struct site *s = sites->buckets[bucket]; s; s = s->next)
        if (s->line == line && s->outer == outer && strcmp(s->source, source) == 0)
            return s;
    const struct site *s = add(sites, bucket, outer, source, line);
    return s ? s : outer;
}

static bool is_library(const struct sites *sites, const char *source)
{
    size_t n = strlen(sites->library);
    return n > 0 && strncmp(source, sites->library, n) == 0;
}

const struct site *site_here(struct sites *sites, lua_State *L, int level)
{
    lua_Debug ar[SITE_FRAMES];
    int n = 0;
    bool enough = false;
    if (!sites->buckets && !(sites->buckets = sys_alloc(BUCKETS * sizeof *sites->buckets)))
        return NULL;
    for (; !enough && n < SITE_FRAMES && lua_getstack(L, level, &ar[n]); level++) {
        lua_getinfo(L, "Sl", &ar[n]);
        if (ar[n].currentline <= 0)
            continue; /* C frames say nothing */
        enough = !sites->deep && !is_library(sites, ar[n].short_src);
        n++;
    }
    const struct site *s = NULL;
    while (n-- > 0)
        s = intern(sites, s, ar[n].short_src, ar[n].currentline);
    return s;
}

void site_push(lua_State *L, const struct site *s)
{
    lua_newtable(L);
    for (int i = 1; s; s = s->outer, i++) {
        lua_pushfstring(L, "%s:%d", s->source, s->line);
        lua_rawseti(L, -2, i);
    }
}

void sites_fini(struct sites *sites)
{
    for (uint32_t i = 0; sites->buckets && i < BUCKETS; i++)
        for (struct site *s = sites->buckets[i], *next; s; s = next) {
            next = s->next;
            sys_free(s);
        }
    sys_free(sites->buckets);
    *sites = (struct sites){0};
}
