/* SPDX-License-Identifier: MIT */
/* inotify.c - the kernel returns whole events of different lengths, and only if there is room for one; so they are read
 * into a buffer here and turned into records one by one. */
#define _GNU_SOURCE
#include "fs/inotify.h"

#include "base/sys.h"
#include "base/sys_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

enum { EVENTS_BYTES = 4096 };

struct watch {
    size_t at, length; /* in `events` */
    size_t sent;       /* bytes of `record` that were handed out; all of them: there is no record */
    bool ended;
    struct inotify_record record;
    _Alignas(struct inotify_event) char events[EVENTS_BYTES];
    char path[];
};

static const struct {
    uint32_t bits;
    const char *event, *direction;
} rows[] = {
    {IN_CREATE, "created", NULL},
    {IN_MODIFY, "modified", NULL},
    {IN_DELETE | IN_DELETE_SELF | IN_UNMOUNT, "removed", NULL},
    {IN_MOVED_FROM, "moved", "from"},
    {IN_MOVED_TO, "moved", "to"},
    {IN_MOVE_SELF, "moved", "self"},
    {IN_ATTRIB, "attributes", NULL},
    {IN_Q_OVERFLOW, "overflow", NULL},
};

uint32_t inotify_mask(const char *event)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].event, event) == 0)
            mask |= rows[i].bits;
    return mask;
}

struct inotify_change inotify_decode(const struct inotify_record *record)
{
    struct inotify_change change = {.event = "attributes", .directory = record->mask & IN_ISDIR};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (record->mask & rows[i].bits) {
            change.event = rows[i].event;
            change.direction = rows[i].direction;
            break;
        }
    return change;
}

/* ---- the stream ---- */

/* 1: there are events; 0: the end; or -errno. */
static ssize_t fill(struct stream *s, struct watch *w)
{
    if (w->at < w->length)
        return 1;
    ssize_t n = sys_inotify_read(s->fd, w->events, sizeof w->events);
    w->at = 0;
    w->length = n > 0 ? (size_t)n : 0;
    return n;
}

/* IN_IGNORED: the watch is gone. */
static ssize_t next_record(struct stream *s, struct watch *w)
{
    ssize_t r = w->ended ? 0 : fill(s, w);
    if (r <= 0)
        return r;
    const struct inotify_event *event = (const struct inotify_event *)(w->events + w->at);
    w->at += sizeof *event + event->len;
    w->ended = event->mask & IN_IGNORED;
    if (w->ended)
        return 0;
    memset(&w->record, 0, sizeof w->record);
    w->record.mask = event->mask;
    w->record.cookie = event->cookie;
    memcpy(w->record.name, event->name, base_min(event->len, INOTIFY_NAME - 1));
    w->sent = 0;
    return 1;
}

static ssize_t watch_read(struct stream *s, void *bytes, size_t n)
{
    struct watch *w = s->own;
    s->again = 0;
    if (w->sent == sizeof w->record) {
        ssize_t r = next_record(s, w);
        if (r <= 0)
            return r;
    }
    n = base_min(n, sizeof w->record - w->sent);
    memcpy(bytes, (const char *)&w->record + w->sent, n);
    w->sent += n;
    return (ssize_t)n;
}

static ssize_t watch_write(struct stream *s, const struct iovec *iov, int count)
{
    (void)s;
    (void)iov;
    (void)count;
    return -EBADF;
}

static int watch_ready(struct stream *s, int side)
{
    const struct watch *w = s->own;
    struct pollfd f = {.fd = s->fd, .events = POLLIN};
    if (side || w->ended || w->at < w->length || w->sent < sizeof w->record)
        return 1;
    int n;
    do
        n = sys_poll(&f, 1, 0);
    while (n == -EINTR);
    return n;
}

static int watch_close_write(struct stream *s)
{
    (void)s;
    return -ENOTSOCK;
}

static void watch_close(struct stream *s)
{
    sys_close(s->fd);
    sys_free(s->own);
}

static size_t watch_describe(const struct stream *s, char *text, size_t n)
{
    return (size_t)snprintf(text, n, "watch of %s", ((const struct watch *)s->own)->path);
}

static const struct stream_ops inotify_ops = {
    .name = "watch",
    .drains = false,
    .read = watch_read,
    .write = watch_write,
    .ready = watch_ready,
    .describe = watch_describe,
    .close_write = watch_close_write,
    .close = watch_close,
};

int inotify_open(struct stream *s, const char *path, uint32_t events)
{
    struct watch *w = sys_alloc(sizeof *w + strlen(path) + 1);
    if (!w)
        return -ENOMEM;
    int fd = sys_inotify();
    int r = fd < 0 ? fd : sys_inotify_add(fd, path, events);
    if (r < 0) {
        if (fd >= 0)
            sys_close(fd);
        sys_free(w);
        return r;
    }
    strcpy(w->path, path);
    w->sent = sizeof w->record;
    *s = (struct stream){.ops = &inotify_ops, .own = w, .fd = fd};
    return 0;
}
