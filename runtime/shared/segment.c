/* SPDX-License-Identifier: MIT */
/* segment.c - the header is checked against what is wanted and against the file's size, and is copied before it is
 * used. `magic` is written last: without it the segment is fresh. */
#include "shared/segment.h"

#include "base/sys.h"
#include "base/sys_memory.h"

#include <errno.h>
#include <string.h>

static const uint64_t MAGIC = UINT64_C(0x6b7261706e6f6f6d); /* "moonpark" */
enum { LAYOUT = 1 };

struct header {
    uint64_t magic;
    uint32_t layout;
    uint32_t spare;
    uint64_t size;
    uint64_t seed[2];
    char kind[SEGMENT_KIND_MAX + 1];
    char name[SEGMENT_NAME_MAX + 1];
};

_Static_assert(sizeof(struct header) <= SEGMENT_HEADER, "the header has grown");

static void take_header(struct segment *s, const struct header *h)
{
    memcpy(s->seed, h->seed, sizeof s->seed);
    memcpy(s->kind, h->kind, SEGMENT_KIND_MAX);
    memcpy(s->name, h->name, SEGMENT_NAME_MAX);
}

static int create(struct segment *s, struct header *h, const struct segment_want *want)
{
    int r = sys_random(h->seed, sizeof h->seed);
    if (r < 0)
        return r;
    h->layout = LAYOUT;
    h->size = s->size;
    strncpy(h->kind, want->kind, SEGMENT_KIND_MAX);
    strncpy(h->name, want->name, SEGMENT_NAME_MAX);
    take_header(s, h);
    alive_init(s->alive);
    if (want->lay_out)
        want->lay_out(s);
    __atomic_store_n(&h->magic, MAGIC, __ATOMIC_RELEASE);
    return 0;
}

static int compare(struct segment *s, const struct header *h, const struct segment_want *want)
{
    if (h->magic != MAGIC || h->layout != LAYOUT || h->size != s->size)
        return SEGMENT_NOT_ONE;
    take_header(s, h);
    return strcmp(s->kind, want->kind) != 0   ? SEGMENT_OTHER_KIND
           : strcmp(s->name, want->name) != 0 ? SEGMENT_OTHER_NAME
           : s->size != want->size            ? SEGMENT_OTHER_SIZE
                                              : 0;
}

/* With the lock: fresh or not, it has a header afterwards. */
static int settle(struct segment *s, int fd, const struct segment_want *want)
{
    struct header *h = (struct header *)s->base;
    int r = sys_lock_record(fd);
    if (r < 0)
        return r;
    if (h->magic == 0 && s->size != want->size)
        r = SEGMENT_OTHER_SIZE;
    else
        r = h->magic == 0 ? create(s, h, want) : compare(s, h, want);
    sys_unlock_record(fd);
    return r;
}

int segment_open(struct segment *s, int fd, const struct segment_want *want)
{
    must(strlen(want->kind) <= SEGMENT_KIND_MAX && strlen(want->name) <= SEGMENT_NAME_MAX);
    memset(s, 0, sizeof *s);
    int64_t size = sys_memfd_size(fd);
    if (size < 0 && size != -EINVAL)
        return (int)size;
    if (size < SEGMENT_CONTENTS || (uint64_t)size > SIZE_MAX)
        return SEGMENT_NOT_ONE;
    s->size = (uint64_t)size;
    void *base;
    int r = sys_map(&base, fd, (size_t)size);
    if (r < 0)
        return r;
    s->base = base;
    s->alive = (struct alive *)(s->base + SEGMENT_HEADER);
    r = settle(s, fd, want);
    if (r == 0 && (r = alive_join(s->alive)) > 0) {
        s->me = (uint32_t)r;
        return 0;
    }
    segment_close(s);
    return r;
}

void segment_close(struct segment *s)
{
    if (s->me)
        alive_leave(s->alive, s->me);
    if (s->base)
        sys_unmap(s->base, (size_t)s->size);
    s->base = NULL;
    s->me = 0;
}
