/* SPDX-License-Identifier: MIT */
/* writer.c - one lock, two buffers: lines are appended to `queued`, and the thread writes `leaving` without the lock.
 *
 * Pieces of whole lines leave, small enough for a pipe to take each at once, so that lines of several processes do not
 * mix. An exit handler waits for the lines; a child that was forked has no thread, and writes itself. */
#define _GNU_SOURCE
#include "loop/writer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/sys.h"
#include "base/sys_file.h"
#include "base/sys_move.h"
#include "loop/writer_notice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_PATIENCE (2 * NS_PER_SECOND) /* for all writers together, when the process ends */

enum {
    PIECE = PIPE_BUF,     /* bytes of one write, where others may write, too */
    FILE_PIECE = 65536,   /* the same for regular files: each write is whole there */
    PERMISSIONS = 0640,   /* of a new file */
    TERMINAL_PIECE = 1024, /* bytes that a terminal takes at once, if it takes any */
};

struct writer {
    struct list link;     /* of `all` */
    pthread_mutex_t lock; /* for all that follows, except fd, cut and leaving, which the thread has while it is busy */
    pthread_cond_t work;  /* lines were queued, or the writer is closing */
    pthread_cond_t rest;  /* nothing is pending, or the thread has ended */
    pthread_t thread;
    struct buf queued, leaving;
    size_t most, pending; /* bytes */
    uint64_t written, lost, untold; /* untold: of the lost lines, those that no notice tells of */
    uint64_t in_vain;     /* 1 + what was written when writer_finish had waited in vain */
    int error;
    char *form;
    struct writer *to;
    unsigned owner;       /* 1 + the generation of the process that has started the thread, or 0; atomic */
    bool busy, closing, over;
    int fd;
    char *path;
    size_t piece;
    enum { THREAD, NOW, TERMINAL } way; /* how a line is written where nothing else waits */
    bool cut;             /* a line has left in part */
};

static struct list all = {&all, &all};
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static unsigned generation; /* how often this process was forked off */

static size_t lines_in(const char *bytes, size_t n)
{
    size_t lines = 0;
    for (const char *end = bytes + n; (bytes = memchr(bytes, '\n', (size_t)(end - bytes))); bytes++)
        lines++;
    return lines;
}

/* ---- writing, without the lock ---- */

static int await_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int r = sys_poll(&p, 1, -1);
    return r < 0 && r != -EINTR ? r : 0;
}

/* Nobody reads the standard output: the process gets the signal that it would have got without a thread. */
static int failed(int fd, int err)
{
    if (err == -EPIPE && fd == STDOUT_FILENO)
        (void)kill(getpid(), SIGPIPE);
    return err;
}

/* *done: how many bytes have been written, also after a failure. */
static int write_all(int fd, const char *bytes, size_t n, size_t *done)
{
    for (*done = 0; *done < n;) {
        ssize_t r = sys_write(fd, bytes + *done, n - *done);
        if (r > 0)
            *done += (size_t)r;
        else
            r = r == -EAGAIN ? await_room(fd) : r == 0 ? -EIO : r;
        if (r < 0)
            return failed(fd, (int)r);
    }
    return 0;
}

/* A line that was cut off is ended first. */
static int write_piece(struct writer *w, const char *bytes, size_t n, size_t *done)
{
    *done = 0;
    int r = w->cut ? write_all(w->fd, "\n", 1, done) : 0;
    if (r == 0)
        r = write_all(w->fd, bytes, n, done);
    if (*done > 0)
        w->cut = r < 0 && bytes[*done - 1] != '\n';
    return r;
}

/* How many bytes of whole lines leave at once. */
static size_t piece_of(const struct writer *w)
{
    const char *bytes = buf_at(&w->leaving), *end;
    size_t n = buf_len(&w->leaving);
    if (n <= w->piece)
        return n;
    end = memrchr(bytes, '\n', w->piece);
    if (!end)
        end = memchr(bytes + w->piece, '\n', n - w->piece);
    return end ? (size_t)(end - bytes) + 1 : n;
}

static void look_at(struct writer *w)
{
    struct stat st;
    w->piece = sys_fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode) ? FILE_PIECE : PIECE;
    w->way = w->path ? THREAD : isatty(w->fd) ? TERMINAL : NOW;
}

/* Has another file taken the place of ours? Then it is opened; if that fails, ours goes on. */
static void follow_path(struct writer *w)
{
    struct stat ours, there;
    if (!w->path || sys_fstat(w->fd, &ours) < 0)
        return;
    if (sys_fstatat(AT_FDCWD, w->path, &there, 0) == 0 && there.st_ino == ours.st_ino && there.st_dev == ours.st_dev)
        return;
    int fd = sys_openat(AT_FDCWD, w->path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, PERMISSIONS);
    if (fd < 0)
        return;
    sys_close(w->fd);
    w->fd = fd;
    w->cut = false;
    look_at(w);
}

/* Appends the notice to b; false: there is no memory for it, or nothing to tell. Called with the lock. */
static bool put_notice(const struct writer *w, struct buf *b)
{
    return w->untold && w->form && writer_notice(b, w->form, w->untold, w->error) == 0;
}

/* ---- in the thread; the lock is held except while it writes ---- */

static void wrote(struct writer *w, size_t n)
{
    buf_consume(&w->leaving, n);
    w->written += n;
    __atomic_sub_fetch(&w->pending, n, __ATOMIC_RELAXED);
}

static void lose(struct writer *w, size_t lines, int error)
{
    w->lost += lines;
    w->untold += lines;
    w->error = error;
}

static void lose_leaving(struct writer *w, int error)
{
    size_t n = buf_len(&w->leaving);
    lose(w, lines_in(buf_at(&w->leaving), n), error);
    buf_consume(&w->leaving, n);
    __atomic_sub_fetch(&w->pending, n, __ATOMIC_RELAXED);
}

/* Writes the notice where it belongs. Returns 0, or why that failed. */
static int tell(struct writer *w)
{
    struct buf text = {.bytes = NULL};
    int r = 0;
    size_t done = 0;
    uint64_t told = w->untold;
    struct writer *to = w->to;
    if (!put_notice(w, &text))
        return 0;
    pthread_mutex_unlock(&w->lock);
    if (to == w)
        r = write_piece(w, buf_at(&text), buf_len(&text), &done);
    else if (to)
        (void)writer_put(to, &(struct iovec){(void *)buf_at(&text), buf_len(&text)}, 1, 0);
    pthread_mutex_lock(&w->lock);
    w->written += done;
    if (r == 0)
        w->untold -= told;
    buf_fini(&text);
    return r;
}

/* After a failure the notice goes first: it says that lines are missing here, and shows whether writing works again. */
static void write_leaving(struct writer *w)
{
    int r = w->error && w->to == w ? tell(w) : 0;
    while (r == 0 && buf_len(&w->leaving) > 0) {
        size_t done;
        pthread_mutex_unlock(&w->lock);
        r = write_piece(w, buf_at(&w->leaving), piece_of(w), &done);
        pthread_mutex_lock(&w->lock);
        wrote(w, done);
    }
    if (r < 0)
        lose_leaving(w, r);
    else if (w->untold && (buf_len(&w->queued) == 0 || w->to != w))
        r = tell(w);
    if (r == 0)
        w->error = 0;
}

/* Writes what is queued; afterwards nobody is busy. */
static void work(struct writer *w)
{
    struct buf empty = w->leaving;
    w->leaving = w->queued;
    w->queued = empty;
    w->busy = true;
    if (w->path) {
        pthread_mutex_unlock(&w->lock);
        follow_path(w);
        pthread_mutex_lock(&w->lock);
    }
    write_leaving(w);
    buf_release(&w->leaving);
    w->busy = false;
    if (buf_len(&w->queued) == 0)
        pthread_cond_broadcast(&w->rest);
}

static void free_writer(struct writer *w)
{
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->rest);
    pthread_mutex_destroy(&w->lock);
    buf_fini(&w->queued);
    buf_fini(&w->leaving);
    if (w->path)
        sys_close(w->fd);
    sys_free(w->path);
    sys_free(w->form);
    sys_free(w);
}

static void *run(void *argument)
{
    struct writer *w = argument;
    pthread_mutex_lock(&w->lock);
    while (buf_len(&w->queued) > 0 || !w->closing) {
        if (buf_len(&w->queued) > 0)
            work(w);
        else
            pthread_cond_wait(&w->work, &w->lock);
    }
    w->over = true;
    pthread_cond_broadcast(&w->rest);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- in other threads ---- */

static void finish_all(void)
{
    int64_t until = clock_real() + EXIT_PATIENCE;
    pthread_mutex_lock(&all_lock);
    for (struct list *l = all.next; l != &all; l = l->next) {
        int64_t left = until - clock_real();
        (void)writer_finish(container_of(l, struct writer, link), left > 0 ? left : 0);
    }
    pthread_mutex_unlock(&all_lock);
}

static void forked(void) { generation++; }

static void prepare(void)
{
    (void)atexit(finish_all);
    (void)pthread_atfork(NULL, NULL, forked);
}

static char *copy_of(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = sys_alloc(n);
    return copy ? memcpy(copy, text, n) : NULL;
}

struct writer *writer_open(int fd, const char *path, size_t most)
{
    struct writer *w = sys_alloc(sizeof *w);
    char *copy = w && path ? copy_of(path) : NULL;
    pthread_condattr_t monotonic;
    if (!w || (path && !copy)) {
        sys_free(w);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->rest, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->fd = fd;
    w->path = copy;
    w->most = most;
    w->to = w;
    look_at(w);
    pthread_once(&prepared, prepare);
    pthread_mutex_lock(&all_lock);
    list_push(&all, &w->link);
    pthread_mutex_unlock(&all_lock);
    return w;
}

int writer_tell(struct writer *w, const char *form, struct writer *to)
{
    char *copy = copy_of(form);
    if (!copy)
        return -ENOMEM;
    pthread_mutex_lock(&w->lock);
    char *before = w->form;
    w->form = copy;
    w->to = to;
    pthread_mutex_unlock(&w->lock);
    sys_free(before);
    return 0;
}

void writer_limit(struct writer *w, size_t most)
{
    pthread_mutex_lock(&w->lock);
    w->most = most;
    pthread_mutex_unlock(&w->lock);
}

static int start(struct writer *w)
{
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before); /* the new thread inherits that */
    int r = -pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        __atomic_store_n(&w->owner, 1 + generation, __ATOMIC_RELAXED);
    return r;
}

static bool has_thread(const struct writer *w) { return __atomic_load_n(&w->owner, __ATOMIC_RELAXED) != 0; }

static bool was_forked(const struct writer *w)
{
    unsigned owner = __atomic_load_n(&w->owner, __ATOMIC_RELAXED);
    return owner != 0 && owner != 1 + generation;
}

/* In a child without the thread, where the lock may be held for ever. */
static int put_forked(struct writer *w, const struct iovec *parts, int count)
{
    int r = 0;
    size_t done;
    for (int i = 0; i < count && r == 0; i++)
        r = write_all(w->fd, parts[i].iov_base, parts[i].iov_len, &done);
    return r;
}

static size_t size_of(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += parts[i].iov_len;
    return n;
}

/* Writes in this thread what can be written without waiting: then it is in its order with what the script itself
 * writes, and no thread has to wake. Returns how many bytes, 0 if that cannot be done. */
static size_t write_now(struct writer *w, const struct iovec *parts, int count, size_t n)
{
    if (w->busy || w->pending > 0 || w->way == THREAD || w->untold || w->error || w->cut || n > PIECE)
        return 0;
    ssize_t r = w->way == NOW ? sys_write_now(w->fd, parts, count) : n > TERMINAL_PIECE ? -EAGAIN
        : sys_write_terminal(w->fd, parts, count);
    if (r < 0 && r != -EAGAIN && r != -EPIPE)
        w->way = THREAD;
    return r > 0 ? (size_t)r : 0;
}

/* Without its first `skip` bytes. A queue that is empty takes any line. */
static int enqueue(struct writer *w, const struct iovec *parts, int count, size_t skip)
{
    size_t n = size_of(parts, count) - skip;
    if (w->pending > 0 && n > w->most - base_min(w->pending, w->most))
        return -ENOBUFS;
    size_t before = buf_len(&w->queued);
    if (!w->error && w->to == w && put_notice(w, &w->queued))
        w->untold = 0;
    bool fits = buf_reserve(&w->queued, n) != NULL;
    for (int i = 0; fits && i < count; i++) {
        size_t less = base_min(skip, parts[i].iov_len);
        (void)buf_append(&w->queued, (const char *)parts[i].iov_base + less, parts[i].iov_len - less);
        skip -= less;
    }
    __atomic_add_fetch(&w->pending, buf_len(&w->queued) - before, __ATOMIC_RELAXED);
    return fits ? 0 : -ENOMEM;
}

/* Called with the lock: until nothing is pending. A writer without a thread writes here. */
static bool await_rest(struct writer *w, int64_t patience)
{
    int64_t until = clock_add(clock_real(), patience);
    struct timespec ts = {.tv_sec = until / NS_PER_SECOND, .tv_nsec = until % NS_PER_SECOND};
    while (w->busy || buf_len(&w->queued) > 0) {
        if (!has_thread(w) && !w->busy)
            work(w);
        else if (patience < 0)
            pthread_cond_wait(&w->rest, &w->lock);
        else if (pthread_cond_timedwait(&w->rest, &w->lock, &ts) == ETIMEDOUT)
            return !w->busy && buf_len(&w->queued) == 0;
    }
    return true;
}

static int hand_over(struct writer *w, const struct iovec *parts, int count, size_t skip, int64_t patience)
{
    bool idle = w->pending == 0;
    int r = enqueue(w, parts, count, skip);
    for (int i = 0; r < 0 && i < count; i++) {
        size_t lines = lines_in(parts[i].iov_base, parts[i].iov_len);
        w->lost += lines;
        w->untold += lines;
    }
    if (r == 0 && !has_thread(w) && start(w) < 0)
        patience = -1;
    if (r == 0 && !w->busy)
        pthread_cond_signal(&w->work);
    if (patience < 0 || (patience > 0 && idle))
        (void)await_rest(w, patience);
    return r;
}

int writer_put(struct writer *w, const struct iovec *parts, int count, int64_t patience)
{
    if (was_forked(w))
        return put_forked(w, parts, count);
    pthread_mutex_lock(&w->lock);
    size_t n = size_of(parts, count), done = write_now(w, parts, count, n);
    w->written += done;
    int r = done < n ? hand_over(w, parts, count, done, patience) : 0;
    pthread_mutex_unlock(&w->lock);
    return r;
}

bool writer_flush(struct writer *w, int64_t patience)
{
    if (was_forked(w))
        return true;
    pthread_mutex_lock(&w->lock);
    bool done = await_rest(w, patience);
    pthread_mutex_unlock(&w->lock);
    return done;
}

bool writer_finish(struct writer *w, int64_t patience)
{
    if (was_forked(w))
        return true;
    pthread_mutex_lock(&w->lock);
    bool done = await_rest(w, w->in_vain == 1 + w->written ? 0 : patience);
    if (!done)
        w->in_vain = 1 + w->written;
    pthread_mutex_unlock(&w->lock);
    return done;
}

/* Called with the lock: has the thread ended, or will it never touch w again? */
static bool await_end(struct writer *w, int64_t patience)
{
    int64_t until = clock_add(clock_real(), patience);
    struct timespec ts = {.tv_sec = until / NS_PER_SECOND, .tv_nsec = until % NS_PER_SECOND};
    w->closing = true;
    pthread_cond_signal(&w->work);
    while (!w->over)
        if (pthread_cond_timedwait(&w->rest, &w->lock, &ts) == ETIMEDOUT)
            return w->over;
    return true;
}

void writer_close(struct writer *w, int64_t patience)
{
    if (!w)
        return;
    pthread_mutex_lock(&all_lock);
    list_del(&w->link);
    pthread_mutex_unlock(&all_lock);
    if (was_forked(w))
        return;
    pthread_mutex_lock(&w->lock);
    if (w->in_vain == 1 + w->written)
        patience = 0;
    bool over = has_thread(w) ? await_end(w, patience) : await_rest(w, patience);
    if (!over)
        w->to = NULL; /* w stays for the thread that hangs, until the process ends */
    pthread_mutex_unlock(&w->lock);
    if (has_thread(w) && over)
        pthread_join(w->thread, NULL);
    else if (has_thread(w))
        pthread_detach(w->thread);
    if (over)
        free_writer(w);
}

void writer_count(struct writer *w, struct writer_counts *counts)
{
    if (was_forked(w)) {
        *counts = (struct writer_counts){0};
        return;
    }
    pthread_mutex_lock(&w->lock);
    *counts = (struct writer_counts){w->written, w->lost, w->pending, w->error};
    pthread_mutex_unlock(&w->lock);
}

static bool is_pending(void)
{
    for (struct list *l = all.next; l != &all; l = l->next) {
        struct writer *w = container_of(l, struct writer, link);
        if (!was_forked(w) && __atomic_load_n(&w->pending, __ATOMIC_RELAXED) > 0)
            return true;
    }
    return false;
}

void writer_settle(int64_t patience)
{
    const struct timespec moment = {.tv_nsec = NS_PER_SECOND / 1000};
    for (; is_pending() && patience > 0; patience -= moment.tv_nsec)
        (void)nanosleep(&moment, NULL);
}

void writer_check(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    must(w->busy || w->pending == buf_len(&w->queued));
    must(w->pending >= buf_len(&w->queued) && w->untold <= w->lost);
    pthread_mutex_unlock(&w->lock);
}
