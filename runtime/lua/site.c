/* SPDX-License-Identifier: MIT */
/* site.c - a hash table of call paths, built from the outermost frame that is kept to the innermost. */
#include "lua/site.h"

#include "base/sys.h"

#include <errno.h>
#include <string.h>

enum { BUCKETS = 1024, HASHED = 16 };

/* Uses only the length and the end of the path: they nearly always differ, and paths may be long. */
static uint32_t hash(const struct site *outer, const char *path, size_t n, int line)
{
    uint32_t h = 2166136261u ^ (uint32_t)line ^ (uint32_t)((uintptr_t)outer >> 4) ^ (uint32_t)n << 16;
    for (size_t i = n > HASHED ? n - HASHED : 0; i < n; i++)
        h = (h ^ (uint8_t)path[i]) * 16777619u;
    return h % BUCKETS;
}

static struct site *add(struct sites *sites, uint32_t bucket, const struct site *outer, const char *path, size_t n,
                        int line)
{
    if (sites->count >= SITE_NODES_MAX)
        return NULL;
    struct site *s = sys_alloc(sizeof *s + n + 1);
    if (!s)
        return NULL;
    s->outer = outer;
    s->line = line;
    memcpy(s->path, path, n + 1);
    s->next = sites->buckets[bucket];
    sites->buckets[bucket] = s;
    sites->count++;
    return s;
}

static const struct site *intern(struct sites *sites, const struct site *outer, const char *path, int line)
{
    size_t n = strlen(path);
    uint32_t bucket = hash(outer, path, n, line);
    for (struct site *s = sites->buckets[bucket]; s; s = s->next)
        if (s->line == line && s->outer == outer && strcmp(s->path, path) == 0)
            return s;
    const struct site *s = add(sites, bucket, outer, path, n, line);
    return s ? s : outer;
}

/* Not short_src for files: long paths are cut at the front there, so that files of one folder begin differently.
 * Without a file, the source may be the whole text. */
static const char *path_of(const lua_Debug *ar) { return ar->source[0] == '@' ? ar->source + 1 : ar->short_src; }

/* Where a frame of the script that is a whole path is remembered: most programs ask for few, again and again. */
static const struct site **recent(struct sites *sites, const lua_Debug *ar)
{
    uintptr_t key = ((uintptr_t)ar->source >> 4) + (uintptr_t)ar->currentline;
    return &sites->recent[key % SITE_RECENT];
}

/* The source may lie where another one lay, so its text counts. */
static const struct site *recall(struct sites *sites, const lua_Debug *ar)
{
    const struct site *s = *recent(sites, ar);
    return s && s->line == ar->currentline && strcmp(s->path, path_of(ar)) == 0 ? s : NULL;
}

int sites_set_library(struct sites *sites, const char *path)
{
    size_t n = strlen(path);
    char *copy = sys_alloc(n + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, path, n + 1);
    sys_free(sites->library);
    sites->library = copy;
    sites->library_length = n;
    memset(sites->recent, 0, sizeof sites->recent); /* one of them may be its own now */
    return 0;
}

bool site_is_own(const struct sites *sites, const char *path)
{
    return sites->library && strncmp(path, sites->library, sites->library_length) == 0;
}

const struct site *site_here(struct sites *sites, lua_State *L, int level)
{
    lua_Debug ar[SITE_FRAMES];
    int n = 0;
    bool enough = false;
    const struct site *s = NULL;
    if (!sites->buckets && !(sites->buckets = sys_alloc(BUCKETS * sizeof *sites->buckets)))
        return NULL;
    for (; !enough && n < SITE_FRAMES && lua_getstack(L, level, &ar[n]); level++) {
        lua_getinfo(L, "Sl", &ar[n]);
        if (ar[n].currentline <= 0)
            continue; /* C frames say nothing */
        if (!sites->deep && (s = recall(sites, &ar[n])))
            return s;
        enough = !sites->deep && !site_is_own(sites, path_of(&ar[n]));
        n += sites->deep || enough; /* frames of ours that led there say nothing either */
    }
    for (int i = n; i-- > 0;)
        s = intern(sites, s, path_of(&ar[i]), ar[i].currentline);
    if (enough && s)
        *recent(sites, &ar[0]) = s;
    return s;
}

void site_push(lua_State *L, const struct site *s)
{
    lua_newtable(L);
    for (int i = 1; s; s = s->outer, i++) {
        lua_pushfstring(L, "%s:%d", s->path, s->line);
        lua_rawseti(L, -2, i);
    }
}

static void set_number(lua_State *L, const char *name, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

void site_push_made(lua_State *L, const char *text, int fd, uint64_t id, uint64_t creator, const struct site *s)
{
    lua_createtable(L, 0, 5);
    if (text) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, "text");
    }
    if (fd >= 0)
        set_number(L, "fd", fd);
    set_number(L, "id", (lua_Number)id);
    set_number(L, "creator", (lua_Number)creator);
    site_push(L, s);
    lua_setfield(L, -2, "site");
}

void sites_fini(struct sites *sites)
{
    for (uint32_t i = 0; sites->buckets && i < BUCKETS; i++)
        for (struct site *s = sites->buckets[i], *next; s; s = next) {
            next = s->next;
            sys_free(s);
        }
    sys_free(sites->buckets);
    sys_free(sites->library);
    *sites = (struct sites){0};
}
