/* SPDX-License-Identifier: MIT */
/* file.c - each operation is a function that runs in a helper thread and touches only its job. */
#define _GNU_SOURCE
#include "fs/file.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/sys.h"
#include "base/sys_file.h"
#include "fs/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE = 1048576,      /* the most bytes that one read or write moves */
    FIRST_PIECE = 4096,   /* of a file without a known size */
    PERMISSIONS = 0644,   /* of a new file, before the umask */
    TEMPORARY_TRIES = 16,
    TEMPORARY_ROOM = 64,  /* bytes of its name */
};

/* ---- open files ---- */

static struct file *file_new(const char *path)
{
    size_t n = strlen(path) + 1;
    struct file *f = sys_alloc(sizeof *f + n);
    if (!f)
        return NULL;
    f->fd = -1;
    f->uses = 1;
    memcpy(f->path, path, n);
    return f;
}

/* Atomic: threads that were abandoned at the end drop their use too. */
void file_drop(struct file *f)
{
    if (!f || __atomic_sub_fetch(&f->uses, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (f->fd >= 0)
        sys_close(f->fd);
    sys_free(f);
}

bool file_is_alone(const struct file *f) { return __atomic_load_n(&f->uses, __ATOMIC_ACQUIRE) == 1; }

/* ---- reading ---- */

/* Reads up to n bytes into b, at `offset` or, if that is negative, at the file's position, with one system call. */
static ssize_t read_piece(int fd, struct buf *b, size_t n, int64_t offset)
{
    n = base_min(n, PIECE);
    char *to = buf_reserve(b, n);
    if (!to)
        return -ENOMEM;
    ssize_t got = offset < 0 ? sys_file_read(fd, to, n) : sys_pread(fd, to, n, offset);
    if (got > 0)
        buf_commit(b, (size_t)got);
    return got;
}

/* Reads to the end, wherever that is by then; asks for one byte more than the limit, to notice that there are more. */
static int read_to_end(int fd, struct buf *b, size_t limit, size_t expected)
{
    size_t room = expected + 1;
    for (;;) {
        size_t left = limit + 1 - buf_len(b);
        ssize_t got = read_piece(fd, b, base_min(room, left), -1);
        if (got <= 0)
            return (int)got;
        if (buf_len(b) > limit)
            return ERR_TOO_LONG;
        room = expected > buf_len(b) ? expected + 1 - buf_len(b) : base_min(buf_len(b) + FIRST_PIECE, PIECE);
    }
}

static int read_open(int fd, struct file_job *j)
{
    struct stat st;
    int r = sys_fstat(fd, &st);
    if (r < 0)
        return r;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    size_t size = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
    if (size > j->limit)
        return ERR_TOO_LONG;
    if (size && !buf_reserve(&j->bytes, size + 1)) /* at once, to not copy it as it grows */
        return -ENOMEM;
    return read_to_end(fd, &j->bytes, j->limit, size ? size : FIRST_PIECE - 1);
}

static int run_read(struct file_job *j)
{
    int fd = sys_openat(AT_FDCWD, j->path, O_RDONLY | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    int r = read_open(fd, j);
    sys_close(fd);
    return r;
}

/* ---- writing ---- */

/* Writes all of j's bytes; j->count says how many were written. */
static int write_all(struct file_job *j, int fd, int64_t offset)
{
    size_t length = buf_len(&j->bytes);
    while (j->count < length) {
        const char *from = buf_at(&j->bytes) + j->count;
        size_t n = base_min(length - j->count, PIECE);
        ssize_t put = offset < 0 ? sys_file_write(fd, from, n) : sys_pwrite(fd, from, n, offset + (int64_t)j->count);
        if (put < 0)
            return (int)put;
        j->count += (size_t)put;
    }
    return 0;
}

static int write_path(struct file_job *j, int flags)
{
    unsigned permissions = j->permissions < 0 ? PERMISSIONS : (unsigned)j->permissions;
    int fd = sys_openat(AT_FDCWD, j->path, O_WRONLY | O_CREAT | O_NOCTTY | flags, permissions);
    if (fd < 0)
        return fd;
    int r = write_all(j, fd, -1);
    int closed = sys_close_file(fd);
    return r < 0 ? r : closed;
}

/* A name in the same folder that no other file has. */
static int open_temporary(const char *path, char *name, size_t size, unsigned permissions)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    int fd = -EEXIST;
    for (int i = 0; i < TEMPORARY_TRIES && fd == -EEXIST; i++) {
        snprintf(name, size, "%.*s.moonpark-%d-%llx", folder, path, (int)getpid(), (unsigned long long)clock_real());
        fd = sys_openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, permissions);
    }
    return fd;
}

/* kept: the permissions to set; negative if the file has them already. */
static int fill_temporary(struct file_job *j, int fd, int kept)
{
    int r = write_all(j, fd, -1);
    if (r == 0 && kept >= 0)
        r = sys_fchmod(fd, (unsigned)kept);
    if (r == 0)
        r = sys_fsync(fd);
    int closed = sys_close_file(fd);
    return r < 0 ? r : closed;
}

/* A reader that opens the path finds either the old bytes or the new ones. A replaced file's permissions are kept, and
 * the new bytes are not readable by others before. A device would be replaced; for a folder rename itself fails. */
static int write_atomically(struct file_job *j)
{
    struct stat old;
    bool there = sys_fstatat(AT_FDCWD, j->path, &old, 0) == 0;
    if (there && !S_ISREG(old.st_mode) && !S_ISDIR(old.st_mode))
        return ERR_NOT_A_FILE;
    bool keep = there && j->permissions < 0;
    unsigned permissions = keep ? 0600 : j->permissions < 0 ? PERMISSIONS : (unsigned)j->permissions;
    size_t size = strlen(j->path) + TEMPORARY_ROOM;
    char *name = sys_alloc(size);
    if (!name)
        return -ENOMEM;
    int fd = open_temporary(j->path, name, size, permissions);
    int r = fd;
    if (fd >= 0) {
        r = fill_temporary(j, fd, keep ? (int)(old.st_mode & 0777) : -1);
        if (r == 0)
            r = sys_rename(name, j->path);
        if (r < 0)
            (void)sys_unlinkat(AT_FDCWD, name, 0);
    }
    sys_free(name);
    return r;
}

static int run_write(struct file_job *j) { return j->flag ? write_atomically(j) : write_path(j, O_TRUNC); }
static int run_append(struct file_job *j) { return write_path(j, O_APPEND); }

/* ---- names ---- */

static int run_stat(struct file_job *j)
{
    struct stat st;
    int r = sys_fstatat(AT_FDCWD, j->path, &st, j->flag ? 0 : AT_SYMLINK_NOFOLLOW);
    if (r < 0)
        return r;
    j->info = (struct file_info){
        .mode = st.st_mode,
        .size = (double)st.st_size,
        .modified = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9,
        .inode = (double)st.st_ino,
        .uid = st.st_uid,
        .gid = st.st_gid,
    };
    return 0;
}

static int run_list(struct file_job *j) { return folder_list(j->path, j->detail, &j->bytes, &j->count); }
static int run_rename(struct file_job *j) { return sys_rename(j->path, j->to); }
static int run_remove(struct file_job *j) { return folder_remove(j->path, j->flag); }
static int run_mkdir(struct file_job *j) { return folder_make(j->path, (unsigned)j->permissions, j->flag); }

/* ---- on an open file ---- */

static int run_open(struct file_job *j)
{
    struct stat st;
    j->file = file_new(j->path);
    if (!j->file)
        return -ENOMEM;
    j->file->fd = sys_openat(AT_FDCWD, j->path, j->open_flags | O_NOCTTY, (unsigned)j->permissions);
    if (j->file->fd < 0)
        return j->file->fd;
    int r = sys_fstat(j->file->fd, &st);
    return r == 0 && S_ISDIR(st.st_mode) ? -EISDIR : r;
}

/* Removes a file that was created by a job that was released: a later exclusive creation ("wx", a lock) would find it.
 * If another file has its name by now, that one stays. */
static void take_back(struct file_job *j)
{
    struct stat ours, there;
    if (j->op != FILE_OPEN || !(j->open_flags & O_EXCL) || !j->file || j->file->fd < 0)
        return;
    bool seen = sys_fstat(j->file->fd, &ours) == 0 &&
                sys_fstatat(AT_FDCWD, j->path, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (seen && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        (void)sys_unlinkat(AT_FDCWD, j->path, 0);
    sys_close(j->file->fd);
    j->file->fd = -1;
}

static int run_get(struct file_job *j)
{
    ssize_t got = read_piece(j->file->fd, &j->bytes, j->limit, -1);
    return got < 0 ? (int)got : got == 0 ? ERR_EOF : 0;
}

static int run_get_at(struct file_job *j)
{
    ssize_t got = 1;
    for (size_t held; got > 0 && (held = buf_len(&j->bytes)) < j->limit;)
        got = read_piece(j->file->fd, &j->bytes, j->limit - held, j->offset + (int64_t)held);
    return got < 0 ? (int)got : buf_len(&j->bytes) == 0 ? ERR_EOF : 0;
}

static int run_put(struct file_job *j) { return write_all(j, j->file->fd, -1); }
static int run_put_at(struct file_job *j) { return write_all(j, j->file->fd, j->offset); }

static int run_size(struct file_job *j)
{
    struct stat st;
    int r = sys_fstat(j->file->fd, &st);
    j->offset = r < 0 ? 0 : st.st_size;
    return r;
}

static int run_seek(struct file_job *j)
{
    j->offset = sys_lseek(j->file->fd, j->offset, j->whence);
    return j->offset < 0 ? (int)j->offset : 0;
}

static int run_sync(struct file_job *j) { return sys_fsync(j->file->fd); }

static int run_close(struct file_job *j)
{
    int fd = j->file->fd;
    j->file->fd = -1;
    return sys_close_file(fd);
}

/* ---- jobs ---- */

static int (*const runs[FILE_OPS])(struct file_job *j) = {
    [FILE_READ] = run_read,     [FILE_WRITE] = run_write,   [FILE_APPEND] = run_append, [FILE_STAT] = run_stat,
    [FILE_LIST] = run_list,     [FILE_RENAME] = run_rename, [FILE_REMOVE] = run_remove, [FILE_MKDIR] = run_mkdir,
    [FILE_OPEN] = run_open,     [FILE_GET] = run_get,       [FILE_GET_AT] = run_get_at, [FILE_PUT] = run_put,
    [FILE_PUT_AT] = run_put_at, [FILE_SIZE] = run_size,     [FILE_SEEK] = run_seek,     [FILE_SYNC] = run_sync,
    [FILE_CLOSE] = run_close,
};

static struct file_job *of_job(struct job *j) { return container_of(j, struct file_job, job); }

static void run_job(struct job *job)
{
    struct file_job *j = of_job(job);
    j->result = runs[j->op](j);
    if (!pool_is_wanted(job))
        take_back(j);
}

static void drop_job(struct job *job) { file_job_free(of_job(job)); }

static struct file_job *new_job(enum file_op op, size_t text)
{
    struct file_job *j = sys_alloc(sizeof *j + text);
    if (!j)
        return NULL;
    j->job.run = run_job;
    j->job.drop = drop_job;
    j->op = op;
    return j;
}

struct file_job *file_job_path(enum file_op op, const char *path, const char *to)
{
    size_t n = strlen(path) + 1, m = to ? strlen(to) + 1 : 0;
    struct file_job *j = new_job(op, n + m);
    if (!j)
        return NULL;
    j->path = memcpy(j->text, path, n);
    if (to)
        j->to = memcpy(j->text + n, to, m);
    return j;
}

struct file_job *file_job_on(enum file_op op, struct file *f)
{
    struct file_job *j = new_job(op, 0);
    if (!j)
        return NULL;
    __atomic_add_fetch(&f->uses, 1, __ATOMIC_RELAXED);
    j->file = f;
    j->path = f->path;
    return j;
}

void file_job_free(struct file_job *j)
{
    take_back(j);
    file_drop(j->file);
    buf_fini(&j->bytes);
    sys_free(j);
}
