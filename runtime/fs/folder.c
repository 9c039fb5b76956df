/* SPDX-License-Identifier: MIT */
/* folder.c - a tree is removed through descriptors, with one folder open at a time: replacing a folder by a link
 * meanwhile leads nowhere else, and a deep tree needs neither stack nor descriptors. */
#define _GNU_SOURCE
#include "fs/folder.h"

#include "base/hard.h"
#include "base/sys.h"
#include "base/sys_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ENTRIES_BYTES = 32768 };

/* ---- reading one ---- */

struct reader {
    int fd;
    ssize_t length, at; /* in `bytes` */
    _Alignas(struct dirent64) char bytes[ENTRIES_BYTES];
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* The next entry except "." and "..": 1; 0: no more; or -errno. */
static int next_entry(struct reader *r, const struct dirent64 **entry)
{
    for (;;) {
        if (r->at == r->length) {
            r->at = 0;
            r->length = sys_getdents(r->fd, r->bytes, sizeof r->bytes);
            if (r->length <= 0) {
                ssize_t end = r->length;
                r->length = 0;
                return (int)end;
            }
        }
        *entry = (const struct dirent64 *)(r->bytes + r->at);
        r->at += (*entry)->d_reclen;
        if (!is_dots((*entry)->d_name))
            return 1;
    }
}

static struct reader *open_reader(int dir, const char *path, int flags, int *error)
{
    struct reader *r = sys_alloc(sizeof *r);
    *error = r ? 0 : -ENOMEM;
    if (!r)
        return NULL;
    r->fd = sys_openat(dir, path, O_RDONLY | O_DIRECTORY | flags, 0);
    if (r->fd >= 0)
        return r;
    *error = r->fd;
    sys_free(r);
    return NULL;
}

static void close_reader(struct reader *r)
{
    sys_close(r->fd);
    sys_free(r);
}

/* ---- listing ---- */

char folder_type(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFSOCK: return 's';
    case S_IFIFO: return 'p';
    default: return 'c';
    }
}

const char *folder_type_name(char type)
{
    switch (type) {
    case 'f': return "file";
    case 'd': return "directory";
    case 'l': return "link";
    case 's': return "socket";
    case 'p': return "fifo";
    case 'c': return "device";
    default: return NULL;
    }
}

/* Not every file system gives the types of entries. An entry that is gone by now has no type. */
static char type_of(const struct reader *r, const struct dirent64 *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return folder_type(DTTOIF(entry->d_type));
    return sys_fstatat(r->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? '?' : folder_type(st.st_mode);
}

static struct folder_sizes sizes_of(const struct reader *r, const struct dirent64 *entry)
{
    struct stat st;
    if (sys_fstatat(r->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return (struct folder_sizes){.size = -1};
    return (struct folder_sizes){(double)st.st_size, (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9};
}

static int append_entry(const struct reader *r, const struct dirent64 *entry, enum folder_detail detail,
                        struct buf *out)
{
    char type = detail == FOLDER_NAMES ? '?' : type_of(r, entry);
    if (buf_append(out, &type, 1) < 0 || buf_append(out, entry->d_name, strlen(entry->d_name) + 1) < 0)
        return -ENOMEM;
    if (detail != FOLDER_SIZES)
        return 0;
    struct folder_sizes sizes = sizes_of(r, entry);
    return buf_append(out, (const char *)&sizes, sizeof sizes);
}

static int read_entries(struct reader *r, enum folder_detail detail, struct buf *out, size_t *count)
{
    const struct dirent64 *entry;
    int more;
    while ((more = next_entry(r, &entry)) > 0) {
        if (append_entry(r, entry, detail, out) < 0)
            return -ENOMEM;
        ++*count;
    }
    return more;
}

const char *folder_next(const char *at, enum folder_detail detail)
{
    return at + strlen(at) + 1 + (detail == FOLDER_SIZES ? sizeof(struct folder_sizes) : 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

/* Sorts entries by their names. */
static int sort_entries(const struct buf *in, enum folder_detail detail, size_t count, struct buf *out)
{
    const char **list = sys_alloc((count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    const char *at = buf_len(in) ? buf_at(in) : "";
    for (size_t i = 0; i < count; i++, at = folder_next(at, detail))
        list[i] = at;
    qsort(list, count, sizeof *list, by_name);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = buf_append(out, list[i], (size_t)(folder_next(list[i], detail) - list[i]));
    sys_free(list);
    return r;
}

int folder_list(const char *path, enum folder_detail detail, struct buf *entries, size_t *count)
{
    struct buf unsorted = {0};
    int error;
    struct reader *r = open_reader(AT_FDCWD, path, 0, &error);
    if (!r)
        return error;
    *count = 0;
    error = read_entries(r, detail, &unsorted, count);
    close_reader(r);
    if (error == 0)
        error = sort_entries(&unsorted, detail, *count, entries);
    buf_fini(&unsorted);
    return error;
}

/* ---- removing ---- */

/* A folder on the walk's path, as seen from its parent. */
struct level {
    dev_t dev; /* the parent, to which ".." must lead */
    ino_t ino;
    char name[NAME_MAX + 1];
};

struct walk {
    struct reader *r; /* the current folder */
    struct level *levels;
    size_t depth, capacity;
};

static int push_level(struct walk *w, const char *name)
{
    struct stat here;
    if (w->depth == w->capacity) {
        size_t more = 2 * w->capacity + 8;
        struct level *levels = sys_realloc(w->levels, more * sizeof *levels);
        if (!levels)
            return -ENOMEM;
        w->levels = levels;
        w->capacity = more;
    }
    int r = sys_fstat(w->r->fd, &here);
    if (r < 0)
        return r;
    struct level *level = &w->levels[w->depth++];
    level->dev = here.st_dev;
    level->ino = here.st_ino;
    memcpy(level->name, name, strlen(name) + 1);
    return 0;
}

/* Enters that folder, seen from the current one. */
static int enter(struct walk *w, const char *name)
{
    int fd = sys_openat(w->r->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    sys_close(w->r->fd);
    w->r->fd = fd;
    w->r->at = w->r->length = 0;
    return 0;
}

static int go_down(struct walk *w, const char *name)
{
    char copy[NAME_MAX + 1]; /* the entry's buffer gets overwritten */
    memcpy(copy, name, strlen(name) + 1);
    int r = push_level(w, copy);
    if (r < 0)
        return r;
    r = enter(w, copy);
    if (r < 0)
        w->depth--;
    return r == -ENOENT ? 0 : r; /* others may be removing things too */
}

/* The folder is empty: returns to its parent and removes it there. */
static int go_up(struct walk *w)
{
    const struct level *level = &w->levels[--w->depth];
    struct stat above;
    int r = enter(w, "..");
    if (r == 0)
        r = sys_fstat(w->r->fd, &above);
    if (r < 0)
        return r;
    if (above.st_dev != level->dev || above.st_ino != level->ino)
        return -EBUSY; /* it was moved meanwhile */
    r = sys_unlinkat(w->r->fd, level->name, AT_REMOVEDIR);
    return r == -ENOENT ? 0 : r;
}

static int remove_entry(struct walk *w, const char *name)
{
    int r = sys_unlinkat(w->r->fd, name, 0);
    if (r == -EISDIR)
        return go_down(w, name);
    return r == -ENOENT ? 0 : r;
}

/* Removes everything in the folder in which the walk begins. */
static int empty(struct walk *w)
{
    for (;;) {
        const struct dirent64 *entry;
        int r = next_entry(w->r, &entry);
        if (r == 0 && w->depth == 0)
            return 0;
        if (r >= 0)
            r = r ? remove_entry(w, entry->d_name) : go_up(w);
        if (r < 0)
            return r;
    }
}

/* Does it end in "." or ".."? The system removes no folder by such a name. */
static bool ends_in_dots(const char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    size_t dots = 0;
    while (dots < n && path[n - 1 - dots] == '.')
        dots++;
    return (dots == 1 || dots == 2) && (dots == n || path[n - 1 - dots] == '/');
}

static int remove_tree(const char *path)
{
    struct walk w = {0};
    int r;
    if (ends_in_dots(path)) /* refused before anything is removed */
        return -EINVAL;
    w.r = open_reader(AT_FDCWD, path, O_NOFOLLOW, &r);
    if (!w.r)
        return r;
    r = empty(&w);
    close_reader(w.r);
    sys_free(w.levels);
    return r < 0 ? r : sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int folder_remove(const char *path, bool tree)
{
    int r = sys_unlinkat(AT_FDCWD, path, 0);
    if (r != -EISDIR)
        return r;
    return tree ? remove_tree(path) : sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* ---- making ---- */

static int make_missing(const char *path, unsigned permissions)
{
    struct stat st;
    int r = sys_mkdir(path, permissions);
    if (r == -EEXIST && sys_fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return r;
}

int folder_make(const char *path, unsigned permissions, bool parents)
{
    if (!parents)
        return sys_mkdir(path, permissions);
    size_t n = strlen(path);
    char *part = sys_alloc(n + 1);
    if (!part)
        return -ENOMEM;
    int r = 0;
    for (size_t i = 1; i < n && r == 0; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        r = make_missing(part, permissions | S_IWUSR | S_IXUSR);
    }
    sys_free(part);
    return r < 0 ? r : make_missing(path, permissions);
}
