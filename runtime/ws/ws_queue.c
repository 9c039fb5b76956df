/* SPDX-License-Identifier: MIT */
/* ws_queue.c - an entry of a queue is a link and a reference; most sockets never have one. */
#include "ws/ws_queue.h"

#include "base/sys.h"

#include <errno.h>

struct entry {
    struct list link;
    struct ws_shared *frame;
};

struct ws_shared *ws_queue_share(size_t length)
{
    struct ws_shared *s = sys_alloc(sizeof *s + length);
    if (s) {
        s->length = length;
        s->references = 1;
    }
    return s;
}

void ws_queue_drop(struct ws_shared *s)
{
    if (s && --s->references == 0)
        sys_free(s);
}

void ws_queue_init(struct ws_queue *q) { list_init(&q->frames); }

static struct entry *first(const struct ws_queue *q)
{
    return list_empty(&q->frames) ? NULL : container_of(q->frames.next, struct entry, link);
}

static void remove(struct entry *e)
{
    list_del(&e->link);
    ws_queue_drop(e->frame);
    sys_free(e);
}

void ws_queue_fini(struct ws_queue *q)
{
    for (struct entry *e; (e = first(q));)
        remove(e);
    q->bytes = q->at = 0;
}

int ws_queue_add(struct ws_queue *q, struct ws_shared *s, size_t at)
{
    struct entry *e = sys_alloc(sizeof *e);
    if (!e)
        return -ENOMEM;
    must(at == 0 || list_empty(&q->frames));
    list_init(&e->link);
    e->frame = s;
    s->references++;
    list_push(&q->frames, &e->link);
    q->bytes += s->length - at;
    q->at = at ? at : q->at;
    return 0;
}

int ws_queue_gather(const struct ws_queue *q, struct iovec *iov, int most, bool *packed)
{
    size_t at = q->at;
    int n = 0;
    for (struct list *l = q->frames.next; l != &q->frames && n < most; l = l->next, at = 0) {
        struct ws_shared *s = container_of(l, struct entry, link)->frame;
        if (n > 0 && s->packed != *packed)
            break;
        *packed = s->packed;
        iov[n++] = (struct iovec){.iov_base = s->bytes + at, .iov_len = s->length - at};
    }
    return n;
}

void ws_queue_left(struct ws_queue *q, size_t n)
{
    q->bytes -= n;
    q->at += n;
    for (struct entry *e = first(q); e && q->at >= e->frame->length; e = first(q)) {
        q->at -= e->frame->length;
        remove(e);
    }
}

void ws_queue_cut(struct ws_queue *q)
{
    while (first(q) && (q->at == 0 || q->frames.prev != q->frames.next)) {
        struct entry *last = container_of(q->frames.prev, struct entry, link);
        q->bytes -= last->frame->length;
        remove(last);
    }
}
