/* SPDX-License-Identifier: MIT */
/* unix_listen.c - on Linux bind takes the mode from the socket and applies the umask: so the socket gets its mode
 * before, and the path gets back what the umask removed after. The umask itself never changes: it is the process's. */
#include "net/unix_listen.h"

#include "base/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path) + 1 };

struct unix_path {
    struct sys_file file;
    char path[PATH_SIZE];
};

static const int64_t LOCK_PAUSE = 1000000; /* ns */

/* ---- the folder ---- */

static void folder_of(const char *path, char folder[static PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    memcpy(folder, path, n);
    folder[n] = '\0';
    if (!slash)
        strcpy(folder, ".");
}

/* Returns a descriptor that holds the lock, or -errno. */
static int lock_folder(const char *path)
{
    char folder[PATH_SIZE];
    folder_of(path, folder);
    int fd = sys_open_folder(folder);
    if (fd < 0)
        return fd;
    int r = sys_lock(fd);
    for (int i = 0; r == -EWOULDBLOCK && i < UNIX_LOCK_TRIES; i++) {
        (void)sys_poll(NULL, 0, LOCK_PAUSE);
        r = sys_lock(fd);
    }
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

/* ---- the path ---- */

static bool is_socket(const struct sys_file *f) { return S_ISSOCK(f->mode); }

static bool same(const struct sys_file *a, const struct sys_file *b) { return a->dev == b->dev && a->ino == b->ino; }

/* Is it a socket file that no process holds any more? */
static bool is_stale(const struct addr *a)
{
    struct sys_file before, after;
    if (sys_file_at(addr_path(a), &before) < 0 || !is_socket(&before) || sys_unix_alive(&a->any, a->len) != 0)
        return false;
    return sys_file_at(addr_path(a), &after) == 0 && same(&before, &after);
}

static int bind_path(int fd, const struct addr *a, bool locked)
{
    int r = sys_bind(fd, &a->any, a->len);
    if (r != -EADDRINUSE || !locked || !is_stale(a) || sys_unlink(addr_path(a)) < 0)
        return r;
    return sys_bind(fd, &a->any, a->len);
}

struct unix_path *unix_path_new(const struct addr *a)
{
    struct unix_path *p = sys_alloc(sizeof *p);
    if (p)
        strncpy(p->path, addr_path(a), sizeof p->path - 1);
    return p;
}

int unix_path_bound(struct unix_path *p, int mode)
{
    struct sys_file file;
    int fd = sys_open_path(p->path);
    if (fd < 0)
        return fd;
    int r = sys_file_of(fd, &file);
    if (r == 0 && !is_socket(&file))
        r = -EADDRINUSE; /* another process put it there first */
    if (r == 0)
        p->file = file;
    if (r == 0 && mode >= 0 && (file.mode & 0777) != (uint32_t)mode)
        r = sys_chmod(fd, (uint32_t)mode); /* through a descriptor, so that no other file is changed */
    sys_close(fd);
    return r;
}

/* A file that is not noted yet was bound a moment ago. */
static void remove_path(const struct unix_path *p)
{
    struct sys_file now;
    if (sys_file_at(p->path, &now) == 0 && is_socket(&now) && (!p->file.ino || same(&now, &p->file)))
        (void)sys_unlink(p->path);
}

void unix_path_remove(struct unix_path *p)
{
    if (p)
        remove_path(p);
    unix_path_forget(p);
}

void unix_path_forget(struct unix_path *p) { sys_free(p); }

/* ---- listening ---- */

static int prepare(int fd, const struct addr *a, const struct unix_listen_options *o)
{
    int one = 1;
    int r = o->reuseport ? sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) : 0;
    return r == 0 && o->mode >= 0 && addr_path(a) ? sys_fchmod(fd, (uint32_t)o->mode) : r;
}

static int listen_with(int fd, const struct unix_listen_options *o)
{
    return sys_listen(fd, o->backlog > 0 ? o->backlog : INT32_MAX); /* the kernel caps it at somaxconn */
}

static int listen_at_path(int fd, const struct addr *a, const struct unix_listen_options *o, struct unix_path *p)
{
    int lock = lock_folder(p->path);
    int r = bind_path(fd, a, lock >= 0);
    if (r == 0) {
        r = unix_path_bound(p, o->mode);
        r = r < 0 ? r : listen_with(fd, o);
        if (r < 0)
            remove_path(p);
    }
    if (lock >= 0)
        sys_close(lock);
    return r;
}

static int open_at(const struct addr *a, const struct unix_listen_options *o, struct unix_path *p)
{
    int fd = sys_socket(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int r = prepare(fd, a, o);
    if (r == 0 && p)
        r = listen_at_path(fd, a, o, p);
    else if (r == 0 && (r = sys_bind(fd, &a->any, a->len)) == 0)
        r = listen_with(fd, o);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

int unix_listen(const struct addr *a, const struct unix_listen_options *o, struct unix_path **path)
{
    *path = NULL;
    if (!addr_path(a))
        return open_at(a, o, NULL);
    struct unix_path *p = unix_path_new(a);
    if (!p)
        return -ENOMEM;
    int fd = open_at(a, o, p);
    if (fd >= 0 && o->unlink)
        *path = p;
    else
        unix_path_forget(p);
    return fd;
}
