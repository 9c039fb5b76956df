/* SPDX-License-Identifier: MIT */
/* ws_group.c - a member that has nothing queued and nobody sending is written to at once, from the one frame that all
 * share. What it does not take is queued, and leaves as its own messages do: before the next send, or by the reader. */
#include "ws/ws_group.h"

#include "base/errors.h"
#include "base/sys.h"
#include "ws/ws_pack.h"

#include <errno.h>
#include <string.h>

enum { TOO_SLOW = 1008, WINDOWS = 16 };

struct member {
    struct ws_member base;
    struct list in_group;
    struct ws_group *group;
    struct ws_socket *socket;
    bool full;
};

static struct member *member_of(struct list *l) { return container_of(l, struct member, in_group); }

/* ---- who is in it ---- */

void ws_group_init(struct ws_group *g, struct loop *loop, size_t most, enum ws_policy policy)
{
    g->loop = loop;
    g->most = most;
    g->policy = (uint8_t)policy;
    list_init(&g->members);
    list_init(&g->waiters);
}

static void count_full(struct member *m, bool full)
{
    struct ws_group *g = m->group;
    if (m->full == full)
        return;
    m->full = full;
    g->full += full ? 1 : (uint32_t)-1;
    while (g->full == 0 && !list_empty(&g->waiters))
        sched_wake_waiter(container_of(g->waiters.next, struct waiter, link), 0);
}

static void leave(struct member *m)
{
    count_full(m, false);
    m->group->count--;
    list_del(&m->base.in_socket);
    list_del(&m->in_group);
    sys_free(m);
}

static void on_change(struct ws_member *base, bool over)
{
    struct member *m = container_of(base, struct member, base);
    if (over)
        leave(m);
    else
        count_full(m, m->socket->queue.bytes > m->group->most);
}

void ws_group_fini(struct ws_group *g)
{
    while (!list_empty(&g->members))
        leave(member_of(g->members.next));
}

static struct member *find(const struct ws_group *g, const struct ws_socket *w)
{
    for (struct list *l = w->memberships.next; l != &w->memberships; l = l->next) {
        struct member *m = container_of(container_of(l, struct ws_member, in_socket), struct member, base);
        if (m->base.changed == on_change && m->group == g)
            return m;
    }
    return NULL;
}

int ws_group_add(struct ws_group *g, struct ws_socket *w)
{
    if (w->c.closed || w->ending)
        return ERR_CLOSED;
    if (find(g, w))
        return 0;
    struct member *m = sys_alloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    m->base.changed = on_change;
    m->group = g;
    m->socket = w;
    list_init(&m->base.in_socket);
    list_init(&m->in_group);
    list_push(&w->memberships, &m->base.in_socket);
    list_push(&g->members, &m->in_group);
    g->count++;
    return 1;
}

int ws_group_remove(struct ws_group *g, struct ws_socket *w)
{
    struct member *m = find(g, w);
    if (m)
        leave(m);
    return m != NULL;
}

/* ---- frames ---- */

/* A message on its way, and the frames that were made of it. */
struct broadcast {
    enum ws_opcode opcode;
    const char *bytes;
    size_t n;
    struct ws_shared *plain, *packed[WINDOWS];
};

static struct ws_shared *frame_of(unsigned first, const char *bytes, size_t n, const uint8_t *key)
{
    char head[WS_HEAD_MAX];
    size_t size = ws_frame_put(head, first, n, key);
    struct ws_shared *s = ws_queue_share(size + n);
    if (!s)
        return NULL;
    memcpy(s->bytes, head, size);
    if (key)
        ws_frame_mask(s->bytes + size, bytes, n, key, 0);
    else if (n > 0)
        memcpy(s->bytes + size, bytes, n);
    s->packed = first & WS_PACKED;
    return s;
}

static struct ws_shared *masked_frame(const struct broadcast *b, struct ws_keys *keys)
{
    uint8_t key[WS_KEY];
    return ws_keys_next(keys, key) < 0 ? NULL : frame_of(WS_FIN | b->opcode, b->bytes, b->n, key);
}

static struct ws_shared *packed_frame(const struct broadcast *b, const struct ws_packing *agreed)
{
    struct ws_packing alone = *agreed;
    alone.out_fresh = true;
    struct ws_pack *p = ws_pack_new(&alone);
    if (!p)
        return NULL;
    struct ws_shared *s = NULL;
    if (ws_pack_deflate(p, b->bytes, b->n, true) == 0)
        s = frame_of(WS_FIN | WS_PACKED | b->opcode, buf_at(&p->packed), buf_len(&p->packed), NULL);
    ws_pack_free(p);
    return s;
}

/* The frame for that socket, with a reference for the caller; NULL: no memory. */
static struct ws_shared *frame_for(struct broadcast *b, struct ws_socket *w)
{
    if (w->keys)
        return masked_frame(b, w->keys);
    bool packed = w->pack && b->n >= w->pack->agreed.least;
    struct ws_shared **kept = packed ? &b->packed[w->pack->agreed.out_bits % WINDOWS] : &b->plain;
    if (!*kept)
        *kept = packed ? packed_frame(b, &w->pack->agreed) : frame_of(WS_FIN | b->opcode, b->bytes, b->n, NULL);
    if (*kept)
        (*kept)->references++;
    return *kept;
}

static void forget_frames(struct broadcast *b)
{
    ws_queue_drop(b->plain);
    for (int i = 0; i < WINDOWS; i++)
        ws_queue_drop(b->packed[i]);
}

/* ---- delivering ---- */

/* Has it nothing to send before this? */
static bool is_idle(const struct ws_socket *w)
{
    return ws_queue_is_empty(&w->queue) && buf_len(&w->out) == 0 && !w->sending && !w->open_message;
}

/* Writes what the socket takes now. Returns bytes, or why nothing can be sent. */
static ssize_t write_now(struct ws_socket *w, struct ws_shared *s)
{
    struct iovec iov = {.iov_base = s->bytes, .iov_len = s->length};
    ssize_t n = ws_socket_write(w, &iov, 1);
    if (s->packed && w->pack)
        w->pack->skewed = true;
    return n == -EAGAIN ? 0 : n;
}

static void end_slow(struct ws_socket *w)
{
    if (w->held == 0 || w->begun > 0)
        ws_queue_cut(&w->queue);
    (void)ws_socket_close(w, TOO_SLOW, "too slow", 8);
    w->lingers = true;
    w->ending = -ENOBUFS;
    ws_socket_nudge(w);
}

/* The queue is full: the policy decides. Returns: is the message queued nevertheless? */
static bool outstays(struct member *m)
{
    struct ws_group *g = m->group;
    if (g->policy == WS_WAIT)
        return true;
    g->dropped++;
    if (g->policy == WS_END)
        end_slow(m->socket);
    return false;
}

static int enqueue(struct member *m, struct ws_shared *s, size_t at)
{
    struct ws_socket *w = m->socket;
    if (!ws_queue_is_empty(&w->queue) && w->queue.bytes + s->length > m->group->most && !outstays(m))
        return 0;
    if (ws_queue_add(&w->queue, s, at) < 0) {
        if (at > 0 || (w->held > 0 && is_idle(w)))
            ws_socket_cut(w, -ENOMEM); /* m is gone */
        return -ENOMEM;
    }
    count_full(m, w->queue.bytes > m->group->most);
    (void)ws_socket_pump(w); /* the rest of it leaves once there is room */
    return 1;
}

/* Returns 1: it was sent or queued; 0: not; or -ENOMEM. May end the member. */
static int deliver(struct member *m, struct broadcast *b)
{
    struct ws_socket *w = m->socket;
    if (w->ending || w->sent || w->mute)
        return 0;
    struct ws_shared *s = frame_for(b, w);
    if (!s)
        return -ENOMEM;
    bool now = is_idle(w);
    ssize_t n = now ? write_now(w, s) : 0;
    int r = n == (ssize_t)s->length;
    if (n < 0) {
        w->mute = (int)n;
        ws_socket_nudge(w);
    } else if (r == 0) {
        r = enqueue(m, s, (size_t)n);
    }
    ws_queue_drop(s);
    return r;
}

int ws_group_send(struct ws_group *g, enum ws_opcode opcode, const char *bytes, size_t n,
                  const struct ws_socket *except)
{
    struct broadcast b = {.opcode = opcode, .bytes = bytes, .n = n};
    int reached = 0, failure = 0;
    for (struct list *l = g->members.next, *next; l != &g->members; l = next) {
        struct member *m = member_of(l);
        next = l->next;
        int r = m->socket == except ? 0 : deliver(m, &b);
        reached += r > 0;
        failure = r < 0 ? r : failure;
    }
    forget_frames(&b);
    return failure ? failure : reached;
}

/* ---- waiting for room ---- */

static void undo(struct task *t) { list_del(&t->wait.self.link); }

static int push(struct lua_State *L, struct task *t) { return t->op.push(L, t); }

static const struct wait_kind kind_room = {.name = "group send", .push = push, .undo = undo};

int ws_group_wait(struct ws_group *g, struct task *t, int64_t deadline)
{
    t->wait.object = g;
    if (g->full == 0 || g->policy != WS_WAIT)
        return 0;
    int r = sched_park(t, &kind_room, g, deadline, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    list_push(&g->waiters, &t->wait.self.link);
    return SCHED_PARKED;
}

void ws_group_check(const struct ws_group *g)
{
    uint32_t full = 0;
    must(list_length(&g->members) == g->count);
    for (struct list *l = g->members.next; l != &g->members; l = l->next)
        full += member_of(l)->full;
    must(full == g->full);
    must(full > 0 || list_empty(&g->waiters));
}
