/* SPDX-License-Identifier: MIT */
/* netpoll.c - Go's functions under Go's names, without locks and atomics: one thread does everything.
 * Slots are never freed, so a late event always finds a generation to be compared with. */
#include "loop/netpoll.h"

#include "base/errors.h"
#include "base/sys.h"

#include <errno.h>
#include <string.h>

enum { POLL_BLOCK = 32 };

static struct waiter ready_token; /* only its address matters; never written */
#define POLL_READY (&ready_token)

/* The result of a wake before the waiter has checked: readiness came, or "look again". */
enum { WOKE_READY = 0, WOKE_LOOK = 1 };

static const int modes[2] = {MODE_R, MODE_W};

void netpoll_init(struct netpoll *np, struct poller *poller, struct sched *sched)
{
    *np = (struct netpoll){.poller = poller, .sched = sched};
}

void netpoll_fini(struct netpoll *np)
{
    for (uint32_t i = 0; i < np->cache.count; i++)
        sys_free(np->cache.blocks[i]);
    sys_free(np->cache.blocks);
    sys_free(np->numbers);
    np->numbers = NULL;
    np->number_count = 0;
    np->cache = (struct pollCache){0};
}

struct pollDesc *netpoll_slot(const struct netpoll *np, uint32_t slot)
{
    if (slot / POLL_BLOCK >= np->cache.count)
        return NULL;
    return &np->cache.blocks[slot / POLL_BLOCK][slot % POLL_BLOCK];
}

/* ---- deadlines ---- */

static bool parked_on(const struct pollSide *side)
{
    return side->g && side->g != POLL_READY;
}

/* netpollunblock: removes the parked waiter, or leaves a token if readiness found no waiter.
 * A deadline or a close never leaves a token: the next waiter sees the field. */
static struct waiter *netpollunblock(struct pollDesc *pd, int side, bool ioready)
{
    struct pollSide *s = &pd->side[side];
    if (!parked_on(s)) {
        if (ioready)
            s->g = POLL_READY;
        return NULL;
    }
    struct waiter *w = s->g;
    s->g = NULL;
    pd->np->waiters--;
    return w;
}

/* netpollgoready: puts the task into the ready queue; it runs after all events are decoded. */
static void netpollgoready(struct waiter *w, bool ioready)
{
    if (w)
        sched_wake_waiter(w, ioready ? WOKE_READY : WOKE_LOOK);
}

/* netpolldeadlineimpl: the field first, then the waiter. */
static void netpolldeadlineimpl(struct pollDesc *pd, int mode)
{
    for (int side = POLL_R; side <= POLL_W; side++)
        if (mode & modes[side])
            pd->side[side].deadline = -1;
    for (int side = POLL_R; side <= POLL_W; side++)
        if (mode & modes[side])
            netpollgoready(netpollunblock(pd, side, false), false);
}

static struct pollDesc *of_timer(struct timer *t, int side)
{
    struct pollSide *s = container_of(t, struct pollSide, timer);
    return container_of(s - side, struct pollDesc, side);
}

static void netpollDeadline(struct timer *t) { netpolldeadlineimpl(of_timer(t, POLL_R), MODE_R | MODE_W); }
static void netpollReadDeadline(struct timer *t) { netpolldeadlineimpl(of_timer(t, POLL_R), MODE_R); }
static void netpollWriteDeadline(struct timer *t) { netpolldeadlineimpl(of_timer(t, POLL_W), MODE_W); }

/* A parked task on a descriptor is always woken from outside; without one, only by a deadline. */
bool netpoll_outside(const struct pollDesc *pd, int side)
{
    return pd->fd >= 0 || pd->side[side].deadline > 0;
}

static void arm(struct pollDesc *pd, int side, int64_t when, void (*fire)(struct timer *))
{
    struct timers *ts = pd->np->sched->timers;
    struct timer *t = &pd->side[side].timer;
    t->fire = fire;
    if (when > 0 && t->slot && t->when == when)
        return;
    if (when > 0)
        must(timers_set(ts, t, when) == 0); /* room was reserved */
    else
        timers_del(ts, t);
}

/* Equal deadlines share the reader's timer. */
static void arm_timers(struct pollDesc *pd)
{
    int64_t r = pd->side[POLL_R].deadline, w = pd->side[POLL_W].deadline;
    bool combo = r > 0 && r == w;
    arm(pd, POLL_R, r, combo ? netpollDeadline : netpollReadDeadline);
    arm(pd, POLL_W, combo ? 0 : w, netpollWriteDeadline);
}

/* A deadline was set or removed during a wait. A select, or a wait with its own deadline, may have other ways
 * to be woken from outside: it is woken to check, and is counted again when it parks again. */
static void recount(struct pollDesc *pd, int side)
{
    struct waiter *w = pd->side[side].g;
    bool only_way = w == &w->task->wait.self && !w->task->wait.timer.slot;
    if (only_way || netpoll_outside(pd, side))
        sched_set_outside(w->task, netpoll_outside(pd, side));
    else
        netpollgoready(netpollunblock(pd, side, false), false);
}

/* Nearly every call: one side's own timer moves later. Needs no room and wakes no task. */
static bool move_later(struct pollDesc *pd, int64_t when, int mode)
{
    if (mode == (MODE_R | MODE_W))
        return false;
    int side = mode == MODE_W;
    struct pollSide *s = &pd->side[side];
    bool own = s->timer.slot && s->timer.fire != netpollDeadline;
    if (!own || when < s->timer.when || when == pd->side[!side].deadline)
        return false;
    s->deadline = when;
    (void)timers_set(pd->np->sched->timers, &s->timer, when);
    return true;
}

int netpoll_set_deadline(struct pollDesc *pd, int64_t when, int mode)
{
    if (pd->closing || move_later(pd, when, mode))
        return 0;
    bool shared = pd->side[POLL_R].timer.slot && !pd->side[POLL_W].timer.slot; /* may be split now */
    if ((when > 0 || shared) && timers_reserve(pd->np->sched->timers, 2) < 0)
        return -ENOMEM;
    for (int side = POLL_R; side <= POLL_W; side++)
        if (mode & modes[side])
            pd->side[side].deadline = when;
    arm_timers(pd);
    for (int side = POLL_R; side <= POLL_W; side++) {
        if (!(mode & modes[side]))
            continue;
        if (when < 0)
            netpollgoready(netpollunblock(pd, side, false), false);
        else if (parked_on(&pd->side[side]))
            recount(pd, side);
    }
    return 0;
}

int64_t netpoll_deadline(const struct pollDesc *pd, int side)
{
    return pd && pd->side[side].deadline > 0 ? pd->side[side].deadline : 0;
}

/* ---- waiting ---- */

static int netpollcheckerr(const struct pollDesc *pd, int side)
{
    if (pd->closing)
        return ERR_CLOSED;
    if (pd->lost)
        return -EBADF;
    if (pd->side[side].deadline < 0)
        return ERR_TIMEOUT;
    if (side == POLL_R && pd->event_err)
        return ERR_NOT_POLLABLE;
    return 0;
}

int netpoll_reset(struct pollDesc *pd, int side)
{
    int err = netpollcheckerr(pd, side);
    if (err == 0 && pd->side[side].g == POLL_READY)
        pd->side[side].g = NULL;
    return err;
}

/* Somebody waits on a shared one. Is it in the poller now? */
static bool comes_back(struct pollDesc *pd)
{
    pd->rests = false;
    return !pd->held && netpoll_enter(pd) == 0;
}

void netpoll_arm(struct pollDesc *pd, int side)
{
    if (pd->fd < 0 || (pd->shared && !comes_back(pd)))
        return;
    pd->np->poller->ops->arm(pd->np->poller, pd->fd, side == POLL_R ? POLLER_READ : POLLER_WRITE);
}

void netpoll_arm_hangup(struct pollDesc *pd)
{
    if (pd->fd >= 0 && !pd->out)
        pd->np->poller->ops->arm(pd->np->poller, pd->fd, POLLER_HANGUP);
}

bool netpoll_has_waiter(const struct pollDesc *pd)
{
    return parked_on(&pd->side[POLL_R]) || parked_on(&pd->side[POLL_W]);
}

/* Puts the waiter on the side. */
static void stand(struct pollDesc *pd, int side, struct waiter *w)
{
    pd->side[side].g = w;
    pd->np->waiters++;
    pd->crossed &= (uint8_t)~modes[side];
    netpoll_arm(pd, side);
}

void netpoll_cross(struct pollDesc *pd, int side)
{
    must(parked_on(&pd->side[side]));
    pd->crossed |= (uint8_t)modes[side];
    netpoll_arm(pd, !side);
}

void netpoll_notify(struct pollDesc *pd, bool (*notify)(struct pollDesc *, uint32_t), void *owner)
{
    must(!parked_on(&pd->side[POLL_R]) && !parked_on(&pd->side[POLL_W]));
    pd->notify = notify;
    pd->owner = owner;
}

int netpoll_watch(struct pollDesc *pd, int side, struct waiter *w)
{
    int err = netpollcheckerr(pd, side);
    if (err < 0)
        return err;
    if (pd->side[side].g)
        return pd->side[side].g == POLL_READY ? 1 : -EBUSY;
    stand(pd, side, w);
    return 0;
}

void netpoll_unwatch(struct pollDesc *pd, int side, struct waiter *w)
{
    if (pd->side[side].g != w)
        return;
    pd->side[side].g = NULL;
    pd->np->waiters--;
}

/* netpollblock: 0: readiness was there and is taken; otherwise the task is parked, or may not be. */
static int netpollblock(struct pollDesc *pd, int side, struct task *t, const struct wait_kind *kind,
                        void *object, int64_t deadline)
{
    struct pollSide *s = &pd->side[side];
    if (s->g == POLL_READY) {
        s->g = NULL;
        return 0;
    }
    if (s->g)
        return -EBUSY;
    int r = sched_park(t, kind, object, deadline, netpoll_outside(pd, side) ? WAIT_OUTSIDE : 0);
    if (r < 0)
        return r;
    t->wait.self.index = (uint32_t)side;
    t->wait.extra = pd;
    t->wait.fdseq = pd->fdseq;
    stand(pd, side, &t->wait.self);
    return SCHED_PARKED;
}

int netpoll_wait(struct pollDesc *pd, int side, struct task *t, const struct wait_kind *kind,
                 void *object, int64_t deadline)
{
    int err = netpollcheckerr(pd, side);
    if (err < 0)
        return err;
    t->op.until = deadline;
    return netpollblock(pd, side, t, kind, object, deadline);
}

int netpoll_waited(struct task *t)
{
    if (t->wait.result <= WOKE_READY)
        return t->wait.result;
    struct pollDesc *pd = t->wait.extra;
    int side = (int)t->wait.self.index;
    if (pd->fdseq != t->wait.fdseq)
        return ERR_CLOSED; /* closed since, and perhaps reused */
    int err = netpollcheckerr(pd, side);
    if (err < 0)
        return err;
    if (pd->crossed & modes[side]) /* readiness of the other side may have come meanwhile, and left no mark here */
        return 0;
    /* The deadline was moved before this task ran: treated as not passed. */
    return netpollblock(pd, side, t, t->wait.kind, t->wait.object, t->op.until);
}

int netpoll_wait_canceled(struct pollDesc *pd, int side, struct task *t,
                          const struct wait_kind *kind, void *object)
{
    return pd->lost ? -EBADF : netpollblock(pd, side, t, kind, object, 0);
}

void netpoll_undo(struct task *t)
{
    netpoll_unwatch(t->wait.extra, (int)t->wait.self.index, &t->wait.self);
}

/* ---- readiness ---- */

bool netpoll_is_ready(const struct pollDesc *pd, int side)
{
    return pd->side[side].g == POLL_READY;
}

static inline void report(struct pollDesc *pd, int side)
{
    netpollgoready(netpollunblock(pd, side, true), true);
}

/* A side is ready: who waits for it on the other one goes on, too. No token: that one has not become ready itself. */
static __attribute__((noinline)) void report_across(struct pollDesc *pd, int side)
{
    if (pd->crossed & modes[!side])
        netpollgoready(netpollunblock(pd, !side, false), true);
}

void netpoll_report(struct pollDesc *pd, int side)
{
    report(pd, side);
    if (pd->crossed)
        report_across(pd, side);
}

static struct pollDesc *of_number(const struct netpoll *np, int fd)
{
    return (uint32_t)fd < np->number_count ? np->numbers[fd] : NULL;
}

/* Other code closed its descriptor. Waiters are woken and see the field. */
static void lose(struct pollDesc *pd)
{
    pd->np->numbers[pd->fd] = NULL;
    pd->fd = -1;
    pd->lost = true;
    if (pd->notify && pd->notify(pd, POLLER_READ | POLLER_WRITE | POLLER_HANGUP | POLLER_LOST))
        return;
    for (int side = POLL_R; side <= POLL_W; side++)
        netpollgoready(netpollunblock(pd, side, false), false);
}

/* The same if the poller still watches it. */
static void lose_watched(struct pollDesc *pd)
{
    if (!pd->out)
        pd->np->poller->ops->del(pd->np->poller, pd->fd);
    lose(pd);
}

/* Of one that is out the poller does not know: that is seen when it comes back. */
static bool is_lost(const struct pollDesc *pd)
{
    return !pd->out && pd->np->poller->ops->lost(pd->np->poller, pd->fd);
}

void netpoll_look_at(struct netpoll *np, int fd)
{
    struct pollDesc *pd = of_number(np, fd);
    if (pd && is_lost(pd))
        lose_watched(pd);
}

uint32_t netpoll_slots(const struct netpoll *np) { return np->cache.count * POLL_BLOCK; }

void netpoll_look(struct netpoll *np, uint32_t n)
{
    for (n = base_min(n, netpoll_slots(np)); n > 0; n--) {
        np->look = np->look < netpoll_slots(np) ? np->look : 0;
        struct pollDesc *pd = netpoll_slot(np, np->look++);
        if (pd->open && pd->fd >= 0 && (pd->notify || netpoll_has_waiter(pd)) && is_lost(pd))
            lose_watched(pd);
    }
}

static void netpollready(struct pollDesc *pd, uint32_t events)
{
    if (events & POLLER_LOST) {
        if (!pd->lost)
            lose_watched(pd);
        return;
    }
    pd->hangup |= (events & POLLER_HANGUP) != 0;
    pd->event_err = (events & POLLER_ERROR) && !pd->tells;
    if (pd->notify && pd->notify(pd, events))
        return;
    uint8_t crossed = pd->crossed;
    if (events & POLLER_READ)
        report(pd, POLL_R);
    if (events & POLLER_WRITE)
        report(pd, POLL_W);
    if (crossed && events & POLLER_READ)
        report_across(pd, POLL_R);
    if (crossed && events & POLLER_WRITE)
        report_across(pd, POLL_W);
}

void netpoll_ready(struct netpoll *np, const struct poller_event *event)
{
    if (event->data == POLLER_WAKE)
        return;
    struct pollDesc *pd = netpoll_slot(np, (uint32_t)(event->data >> 32));
    if (pd && pd->open && pd->fdseq == (uint32_t)event->data)
        netpollready(pd, event->events);
}

void netpoll_stir(struct pollDesc *pd, uint32_t events)
{
    if (!pd->closing)
        netpoll_ready(pd->np, &(struct poller_event){.data = netpoll_data(pd), .events = events});
}

void netpoll_false_wake(struct netpoll *np)
{
    struct pollDesc *pd = netpoll_slot(np, ++np->cursor);
    if (!pd) {
        np->cursor = 0;
        pd = netpoll_slot(np, 0);
    }
    if (pd && pd->open && !pd->closing)
        for (int side = POLL_R; side <= POLL_W; side++)
            if (parked_on(&pd->side[side]))
                netpollgoready(netpollunblock(pd, side, false), false);
}

/* ---- pollCache ---- */

static int cache_grow(struct pollCache *c)
{
    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 8;
        struct pollDesc **blocks = sys_realloc(c->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return -ENOMEM;
        c->blocks = blocks;
        c->capacity = capacity;
    }
    struct pollDesc *block = sys_alloc(POLL_BLOCK * sizeof *block);
    if (!block)
        return -ENOMEM;
    for (uint32_t i = POLL_BLOCK; i-- > 0;) {
        block[i].slot = c->count * POLL_BLOCK + i;
        block[i].link = c->first;
        c->first = &block[i];
    }
    c->blocks[c->count++] = block;
    return 0;
}

static struct pollDesc *cache_alloc(struct pollCache *c)
{
    if (!c->first && cache_grow(c) < 0)
        return NULL;
    struct pollDesc *pd = c->first;
    c->first = pd->link;
    return pd;
}

static void cache_free(struct pollCache *c, struct pollDesc *pd)
{
    pd->open = false;
    pd->link = c->first;
    c->first = pd;
}

static int grow_numbers(struct netpoll *np, int fd)
{
    uint32_t count = np->number_count ? np->number_count : 64;
    if ((uint32_t)fd < np->number_count)
        return 0;
    while (count <= (uint32_t)fd)
        count *= 2;
    struct pollDesc **numbers = sys_realloc(np->numbers, count * sizeof *numbers);
    if (!numbers)
        return -ENOMEM;
    memset(numbers + np->number_count, 0, (count - np->number_count) * sizeof *numbers);
    np->numbers = numbers;
    np->number_count = count;
    return 0;
}

/* If the number is in use here already, the old one is lost if the poller accepts the new one, or says so. */
static int watch(struct netpoll *np, struct pollDesc *pd)
{
    const struct poller_ops *ops = np->poller->ops;
    struct pollDesc *old = of_number(np, pd->fd);
    int r = ops->add(np->poller, pd->fd, netpoll_data(pd));
    if (r == 0 && old)
        lose(old);
    if (r == -EEXIST && old && is_lost(old)) {
        lose_watched(old);
        r = ops->add(np->poller, pd->fd, netpoll_data(pd));
    }
    if (r < 0)
        return r;
    r = grow_numbers(np, pd->fd); /* only now: the number is valid */
    if (r < 0)
        ops->del(np->poller, pd->fd);
    else
        np->numbers[pd->fd] = pd;
    return r;
}

int netpoll_open(struct netpoll *np, int fd, struct pollDesc **out)
{
    struct pollDesc *pd = cache_alloc(&np->cache);
    if (!pd)
        return -ENOMEM;
    *pd = (struct pollDesc){.np = np, .slot = pd->slot, .fdseq = pd->fdseq, .fd = fd, .open = true};
    int r = fd < 0 ? 0 : watch(np, pd);
    if (r < 0) {
        cache_free(&np->cache, pd);
        return r == -EPERM ? ERR_NOT_POLLABLE : r;
    }
    np->opened++;
    *out = pd;
    return 0;
}

void netpoll_unblock(struct pollDesc *pd)
{
    if (pd->closing)
        return;
    pd->closing = true;
    for (int side = POLL_R; side <= POLL_W; side++) {
        netpollgoready(netpollunblock(pd, side, false), false);
        timers_del(pd->np->sched->timers, &pd->side[side].timer);
    }
}

void netpoll_close(struct pollDesc *pd)
{
    must(pd->open && pd->closing);
    must(!parked_on(&pd->side[POLL_R]) && !parked_on(&pd->side[POLL_W]));
    if (pd->fd >= 0) {
        if (!pd->out)
            pd->np->poller->ops->del(pd->np->poller, pd->fd);
        pd->np->numbers[pd->fd] = NULL;
    }
    pd->np->opened--;
    pd->fdseq++; /* only now: netpoll_wait_canceled still takes readiness while closing */
    cache_free(&pd->np->cache, pd);
}

void netpoll_check(const struct netpoll *np)
{
    uint32_t opened = 0, waiters = 0;
    struct pollDesc *pd;
    for (uint32_t slot = 0; (pd = netpoll_slot(np, slot)); slot++) {
        must(pd->slot == slot);
        if (!pd->open)
            continue;
        opened++;
        must(pd->lost ? pd->fd < 0 : pd->fd < 0 || np->numbers[pd->fd] == pd);
        for (int side = POLL_R; side <= POLL_W; side++) {
            const struct pollSide *s = &pd->side[side];
            waiters += parked_on(s);
            must(!parked_on(s) || s->g->task->state == TASK_PARKED);
            must(s->deadline > 0 || !s->timer.slot);
        }
    }
    must(opened == np->opened && waiters == np->waiters);
}
