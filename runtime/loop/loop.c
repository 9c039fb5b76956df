/* SPDX-License-Identifier: MIT */
/* loop.c - the turn. The poller is asked after a bounded number of tasks even if more are ready,
 * so that a busy script still sees its sockets and its timers. */
#include "loop/loop.h"

#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>

/* A descriptor that other code closed is noticed soon if the loop is quiet, and otherwise in time: this many slots are
 * checked each time, a few microseconds in every tenth of a second. */
enum { LOOKS = 256 };
static const int64_t LOOK_EVERY = NS_PER_SECOND / 10;

/* The first of those that wait have their turn. It runs once more after that, to count from 0 again. */
static void give_turns(struct late *late)
{
    struct loop *l = container_of(late, struct loop, ration);
    for (l->rationed_now = 0; l->rationed_now < LOOP_RATION; l->rationed_now++) {
        struct list *first = list_pop(&l->rationed);
        if (!first)
            break;
        struct ration *r = container_of(first, struct ration, link);
        r->granted = true;
        r->turn(r);
    }
    if (l->rationed_now > 0)
        loop_late(l, &l->ration);
}

bool loop_ration(struct loop *l, struct ration *r)
{
    bool free = l->rationed_now < LOOP_RATION && list_empty(&l->rationed);
    bool goes = r->granted || free;
    l->rationed_now += !r->granted && free;
    r->granted = false;
    if (!goes && list_empty(&r->link))
        list_push(&l->rationed, &r->link);
    loop_late(l, &l->ration);
    return goes;
}

int loop_open(struct loop *l, const char *poller)
{
    list_init(&l->conns);
    list_init(&l->late);
    list_init(&l->rationed);
    list_init(&l->ration.link);
    l->ration.run = give_turns;
    timers_init(&l->timers);
    sched_init(&l->sched, &l->timers);
    l->scratch = sys_alloc(limits.scratch);
    l->events = sys_alloc(limits.events * sizeof *l->events);
    int r = l->scratch && l->events ? poller_open(&l->poller, poller) : -ENOMEM;
    if (r < 0) {
        sys_free(l->scratch);
        sys_free(l->events);
        l->scratch = NULL;
        l->events = NULL;
        return r;
    }
    netpoll_init(&l->netpoll, l->poller, &l->sched);
    loop_beat_at(l, NULL);
    l->sched.now = clock_now(&l->clock);
    return 0;
}

void loop_close(struct loop *l)
{
    if (!l->poller)
        return;
    if (l->pool)
        pool_close(l->pool);
    l->pool = NULL;
    while (timers_pop(&l->timers, INT64_MAX))
        ; /* not fired, but disarmed: their owners may outlive us */
    netpoll_fini(&l->netpoll);
    l->poller->ops->close(l->poller);
    l->poller = NULL;
    timers_fini(&l->timers);
    sys_free(l->events);
    sys_free(l->scratch);
    sys_free(l->datagrams);
}

int loop_submit(struct loop *l, struct job *j, struct job **owner)
{
    if (!l->pool)
        l->pool = pool_open(l->poller);
    return l->pool ? pool_submit(l->pool, j, owner) : -ENOMEM;
}

int64_t loop_now(struct loop *l)
{
    return l->sched.now = clock_now(&l->clock);
}

void loop_beat_at(struct loop *l, struct heartbeat *beat)
{
    uint64_t since = l->beat ? l->beat->turn_since_ns : 0;
    if (l->beat)
        l->beat->turn_since_ns = 0;
    l->beat = beat ? beat : &l->own_beat;
    l->beat->turn_since_ns = since;
}

static void beat(struct loop *l, int64_t real) { l->beat->turn_since_ns = (uint64_t)real; }
static void rest(struct loop *l) { l->beat->turn_since_ns = 0; }

/* A turn without tasks sets nothing off: it may have been the watch that interrupted the wait. */
static void be_watched(struct loop *l)
{
    l->unwatched = 0;
    l->watch(l);
}

static void run_ready(struct loop *l)
{
    struct task *t;
    uint32_t i = 0;
    for (; i < limits.turns_a_poll && (t = sched_next(&l->sched)); i++) {
        loop_beat(l);
        if (l->unwatched)
            be_watched(l);
        l->run(l, t);
    }
    if (i > 0)
        l->unlooked = netpoll_slots(&l->netpoll); /* tasks may have closed anything */
}

static void run_late(struct loop *l)
{
    if (list_empty(&l->late))
        return;
    for (size_t n = list_length(&l->late); n > 0; n--) {
        struct list *link = list_pop(&l->late);
        if (!link)
            return;
        struct late *late = container_of(link, struct late, link);
        late->run(late);
    }
}

/* Time until something is due: ns, negative: for ever. */
static int64_t patience(struct loop *l)
{
    if (!list_empty(&l->sched.ready) || !list_empty(&l->late))
        return 0;
    int64_t next = timers_next(&l->timers);
    if (next == INT64_MAX)
        return -1;
    if (l->clock.frozen)
        return pool_awaited(l->pool) ? -1 : 0;
    int64_t left = next - clock_now(&l->clock);
    return left > 0 ? left : 0;
}

/* How long the poller may block. */
static int64_t bounded_patience(struct loop *l)
{
    int64_t wait = patience(l);
    if (l->until == 0 || wait == 0)
        return wait;
    int64_t left = l->until - clock_real();
    if (left <= 0)
        return 0;
    return wait < 0 || left < wait ? left : wait;
}

/* Must lost descriptors be looked for before the loop blocks for long? If so, it blocks for a moment first. */
static bool looks_first(const struct loop *l, int64_t wait)
{
    return l->unlooked > 0 && l->netpoll.opened > 0 && (wait < 0 || wait > LOOK_EVERY);
}

/* Checks some slots, at regular times and when the loop has been quiet for that long. */
static void look_for_lost(struct loop *l, bool quiet)
{
    if (l->unlooked == 0 || (!quiet && l->sched.now < l->look_at))
        return;
    uint32_t n = l->unlooked < LOOKS ? l->unlooked : LOOKS;
    netpoll_look(&l->netpoll, n);
    l->unlooked -= n;
    l->look_at = clock_add(l->sched.now, LOOK_EVERY);
}

static bool is_last(const struct loop *l) { return l->until && clock_real() >= l->until; }

/* The clock is read before any event is handled: the reading from before the block may be hours old, and handlers
 * count time from it. */
static int poll_events(struct loop *l)
{
    bool woken = false;
    int64_t wait = bounded_patience(l);
    bool looks = looks_first(l, wait);
    rest(l);
    int n = l->poller->ops->wait(l->poller, l->events, (int)limits.events, looks ? LOOK_EVERY : wait);
    (void)loop_now(l);
    beat(l, l->clock.frozen ? clock_real() : l->sched.now - l->clock.skipped);
    for (int i = 0; i < n; i++) {
        woken |= l->events[i].data == POLLER_WAKE;
        netpoll_ready(&l->netpoll, &l->events[i]);
    }
    if (woken)
        pool_collect(l->pool);
    if (woken && l->woken)
        l->woken(l);
    look_for_lost(l, looks && n == 0);
    return n;
}

/* Virtual time jumps to the next timer when nothing else can happen. */
static void autojump(struct loop *l, int events)
{
    int64_t next = timers_next(&l->timers);
    bool idle = events == 0 && list_empty(&l->sched.ready) && list_empty(&l->late) && !pool_awaited(l->pool);
    if (!l->clock.frozen || !idle || next == INT64_MAX)
        return;
    clock_advance_to(&l->clock, next);
    (void)loop_now(l);
}

static void fire_timers(struct loop *l)
{
    int64_t now = l->sched.now;
    for (struct timer *t; (t = timers_pop(&l->timers, now));)
        t->fire(t);
}

static int turn(struct loop *l)
{
    run_ready(l);
    run_late(l);
    if (l->sched.alive == 0)
        return LOOP_ENDED;
    if (l->idle && list_empty(&l->sched.ready))
        l->idle(l);
    if (list_empty(&l->sched.ready) && l->sched.outside == 0 && list_empty(&l->late))
        return LOOP_DEADLOCK;
    int n = poll_events(l);
    if (n < 0)
        return n;
    bool last = is_last(l);
    if (!last)
        autojump(l, n);
    fire_timers(l);
    if (limits.false_wakes)
        netpoll_false_wake(&l->netpoll);
    return last ? LOOP_STOPPED : LOOP_GOES_ON;
}

int loop_turn(struct loop *l)
{
    if (l->beat->turn_since_ns == 0)
        beat(l, clock_real());
    int r = turn(l);
    if (r != LOOP_GOES_ON)
        rest(l);
    return r;
}
