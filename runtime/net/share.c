/* SPDX-License-Identifier: MIT */
/* share.c - after a listener has left the poller, it is asked once more whether connections wait: if so, another worker
 * is woken for them. Every step that may fail is tried again at the next look. */
#include "net/share.h"

#include "base/sys.h"
#include "loop/netpoll_share.h"

#include <errno.h>
#include <unistd.h>

static const int64_t FIRST_LOOK = 5 * NS_PER_SECOND / 1000, LAST_LOOK = NS_PER_SECOND;
static const int64_t STUCK = 200 * NS_PER_SECOND / 1000;

struct share {
    struct loop *loop;
    struct board *board;
    struct pollDesc *wake; /* of our eventfd */
    struct list listeners; /* by shared.link */
    struct timer timer;    /* the next look */
    struct late late;      /* sets it, if there was no memory */
    int64_t pause;         /* ns: how long the last look was waited for */
    int64_t seen_at;       /* when connections were seen to wait, ns; 0: they do not */
    uint32_t seen;         /* board_progress then */
    uint32_t slot, count;
    int segment;
    bool holds;    /* the listeners are held */
    bool stirring; /* the events are our own */
    int wakes[];
};

/* ---- others ---- */

static void poke(const int *wakes, uint32_t slot)
{
    uint64_t one = 1;
    if (slot != BOARD_SLOTS)
        (void)sys_write(wakes[slot], &one, sizeof one); /* cannot fail but by overflow: then it was woken */
}

static void poke_stuck(void *by, uint32_t slot) { poke(((struct share *)by)->wakes, slot); }

static bool has_waiting(const struct pollDesc *pd)
{
    struct pollfd f = {.fd = pd->fd, .events = POLLIN};
    return pd->fd >= 0 && sys_poll(&f, 1, 0) != 0; /* a failure: perhaps */
}

/* A wake for a connection may have been ours. */
static void pass_on(struct share *s, const struct pollDesc *pd)
{
    if (has_waiting(pd))
        poke(s->wakes, board_successor(s->board, s->slot));
}

static struct shared *at(struct list *link) { return container_of(link, struct shared, link); }

static bool some_wait(struct share *s)
{
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next)
        if (has_waiting(at(l)->pd))
            return true;
    return false;
}

/* ---- looks ---- */

static void look_later(struct share *s, int64_t pause)
{
    s->pause = pause;
    if (timers_set(&s->loop->timers, &s->timer, clock_add(loop_now(s->loop), pause)) < 0)
        loop_late(s->loop, &s->late);
}

static void look_in_turn(struct share *s)
{
    look_later(s, LAST_LOOK * (1 + board_rank(s->board, s->slot)));
}

static void on_late(struct late *late)
{
    struct share *s = container_of(late, struct share, late);
    look_later(s, s->pause);
}

/* Connections are waiting, perhaps: whoever accepts has a look. */
static void stir(struct share *s)
{
    s->stirring = true;
    for (struct list *l = s->listeners.next, *next; l != &s->listeners; l = next) {
        next = l->next;
        if (!at(l)->pd->out)
            netpoll_stir(at(l)->pd, POLLER_READ);
    }
    s->stirring = false;
}

static void put_back(struct share *s)
{
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next)
        (void)netpoll_return(at(l)->pd);
}

/* The board says that we accept. */
static void take_up(struct share *s)
{
    s->holds = false;
    s->seen_at = 0;
    put_back(s);
    look_in_turn(s);
}

static void hold(struct share *s)
{
    s->holds = true;
    s->seen_at = 0;
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next)
        netpoll_hold(at(l)->pd);
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next)
        pass_on(s, at(l)->pd);
    look_later(s, FIRST_LOOK);
}

/* Accepts again, unless it is ahead. */
static bool comes_back(struct share *s)
{
    if (board_is_ahead(s->board, s->slot))
        return false;
    (void)board_change(s->board, s->slot, BOARD_HOLDING, BOARD_ACCEPTING); /* or somebody else has done so */
    take_up(s);
    return true;
}

static void release_others(struct share *s)
{
    for (uint32_t slot; (slot = board_release(s->board)) != BOARD_SLOTS;)
        if (slot != s->slot)
            poke(s->wakes, slot);
}

/* Connections wait. Have those who accept taken any, since it was first seen? */
static void look_for_stuck(struct share *s)
{
    uint32_t progress = board_progress(s->board);
    int64_t now = s->loop->sched.now;
    if (s->seen_at == 0 || s->seen != progress) {
        s->seen = progress;
        s->seen_at = now;
    } else if (now - s->seen_at >= STUCK) {
        board_give_up(s->board, poke_stuck, s);
        (void)board_change(s->board, s->slot, BOARD_HOLDING, BOARD_ACCEPTING);
        take_up(s);
        return;
    }
    look_later(s, FIRST_LOOK);
}

static void look_as_holder(struct share *s)
{
    if (comes_back(s))
        return;
    if (some_wait(s)) {
        look_for_stuck(s);
        return;
    }
    s->seen_at = 0;
    look_later(s, s->pause < LAST_LOOK / 2 ? 2 * s->pause : LAST_LOOK);
}

static void look_as_acceptor(struct share *s)
{
    put_back(s);
    if (some_wait(s))
        stir(s);
    look_in_turn(s);
}

static bool is_holding(const struct share *s) { return board_state(s->board, s->slot) == BOARD_HOLDING; }

static void on_timer(struct timer *timer)
{
    struct share *s = container_of(timer, struct share, timer);
    if (is_holding(s))
        look_as_holder(s);
    else if (s->holds)
        take_up(s);
    else
        look_as_acceptor(s);
}

/* Another worker has made us accept, or has passed a connection on to us. */
static bool on_wake(struct pollDesc *pd, uint32_t events)
{
    struct share *s = pd->owner;
    uint64_t count;
    if (events & POLLER_LOST || !(events & POLLER_READ)) /* reading an eventfd makes it writable: that is an edge too */
        return true;
    (void)sys_read(s->wakes[s->slot], &count, sizeof count);
    netpoll_arm(pd, POLL_R);
    if (s->holds && !is_holding(s))
        take_up(s);
    else if (!s->holds)
        stir(s);
    return true;
}

/* ---- a listener ---- */

bool share_admits(const struct shared *sh) { return !is_holding(sh->share); }

void share_woken(struct shared *sh)
{
    if (!sh->share->stirring)
        board_woken(sh->share->board, sh->share->slot);
}

void share_waits(struct shared *sh)
{
    struct share *s = sh->share;
    if (board_state(s->board, s->slot) == BOARD_AWAY)
        board_return(s->board, s->slot);
}

static bool all_rest(struct share *s)
{
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next)
        if (!at(l)->pd->rests)
            return false;
    return true;
}

static void go_away(struct share *s)
{
    if (all_rest(s) && !board_change(s->board, s->slot, BOARD_ACCEPTING, BOARD_AWAY))
        (void)board_change(s->board, s->slot, BOARD_HOLDING, BOARD_AWAY);
    if (s->holds && !is_holding(s))
        take_up(s);
}

void share_declines(struct shared *sh)
{
    netpoll_rest(sh->pd);
    go_away(sh->share);
    pass_on(sh->share, sh->pd);
}

struct shared *share_add(struct share *s, struct pollDesc *pd)
{
    struct shared *sh = sys_alloc(sizeof *sh);
    if (!sh)
        return NULL;
    sh->share = s;
    sh->pd = pd;
    netpoll_share(pd);
    if (s->holds)
        netpoll_hold(pd);
    list_push(&s->listeners, &sh->link);
    if (s->timer.slot == 0)
        look_in_turn(s);
    return sh;
}

int share_come_back(struct share *s)
{
    (void)board_change(s->board, s->slot, BOARD_HOLDING, BOARD_ACCEPTING);
    if (s->holds)
        take_up(s);
    for (struct list *l = s->listeners.next; l != &s->listeners; l = l->next) {
        netpoll_arm(at(l)->pd, POLL_R);
        if (at(l)->pd->out && at(l)->pd->fd >= 0)
            return -ENOMEM;
    }
    return 0;
}

void share_drop(struct shared *sh)
{
    struct share *s = sh->share;
    struct pollDesc *pd = sh->pd;
    list_del(&sh->link);
    pass_on(s, pd);
    go_away(s);
    if (list_empty(&s->listeners))
        timers_del(&s->loop->timers, &s->timer);
    sys_free(sh);
}

/* ---- connections ---- */

void share_took(struct share *s)
{
    uint32_t wake;
    board_accepted(s->board, s->slot);
    bool holds = board_hold(s->board, s->slot, &wake);
    poke(s->wakes, wake);
    release_others(s);
    if (holds && is_holding(s))
        hold(s);
}

void share_lost(struct share *s)
{
    board_closed(s->board, s->slot);
    if (s->holds)
        (void)comes_back(s);
}

uint32_t share_count(const struct share *s) { return s->board->slot[s->slot].open; }

/* ---- beginning and end ---- */

static int check_place(const struct board *b, uint32_t count, uint32_t slot)
{
    return b->slots != count || slot >= b->slots ? -EINVAL : 0;
}

static int watch_wake(struct share *s)
{
    int r = netpoll_open(&s->loop->netpoll, s->wakes[s->slot], &s->wake);
    if (r < 0)
        return r;
    netpoll_notify(s->wake, on_wake, s);
    netpoll_arm(s->wake, POLL_R);
    return 0;
}

static void unwatch_wake(struct share *s)
{
    netpoll_unblock(s->wake);
    netpoll_close(s->wake);
}

static struct share *make(struct loop *l, const int *wakes, uint32_t count, uint32_t slot)
{
    struct share *s = sys_alloc(sizeof *s + count * sizeof s->wakes[0]);
    if (!s)
        return NULL;
    s->loop = l;
    s->slot = slot;
    s->count = count;
    s->timer.fire = on_timer;
    s->late.run = on_late;
    list_init(&s->late.link);
    list_init(&s->listeners);
    for (uint32_t i = 0; i < count; i++)
        s->wakes[i] = wakes[i];
    return s;
}

int share_join(struct loop *l, int segment, const int *wakes, uint32_t count, uint32_t slot)
{
    struct board *b;
    if (l->share)
        return -EBUSY;
    int r = board_map(segment, &b);
    if (r < 0)
        return r;
    struct share *s = NULL;
    r = check_place(b, count, slot);
    if (r == 0) {
        s = make(l, wakes, count, slot);
        r = s ? watch_wake(s) : -ENOMEM;
    }
    if (r == 0) {
        r = board_join(b, slot, (uint32_t)getpid());
        if (r == 0) {
            s->board = b;
            s->segment = segment;
            l->share = s;
            return 0;
        }
        unwatch_wake(s);
    }
    sys_free(s);
    board_unmap(b);
    return r;
}

void share_leave(struct share *s)
{
    if (!s)
        return;
    must(list_empty(&s->listeners));
    timers_del(&s->loop->timers, &s->timer);
    list_del(&s->late.link);
    share_clear(s->board, s->wakes, s->slot);
    unwatch_wake(s);
    for (uint32_t i = 0; i < s->count; i++)
        sys_close(s->wakes[i]);
    sys_close(s->segment);
    board_unmap(s->board);
    s->loop->share = NULL;
    sys_free(s);
}

void share_clear(struct board *b, const int *wakes, uint32_t slot)
{
    board_leave(b, slot);
    poke(wakes, board_successor(b, slot));
}

void share_check(const struct share *s)
{
    for (const struct list *l = s->listeners.next; l != &s->listeners; l = l->next) {
        const struct shared *sh = container_of(l, struct shared, link);
        must(sh->share == s && sh->pd->open && sh->pd->shared);
        must(sh->pd->held == s->holds);
    }
    must(list_empty(&s->listeners) || s->timer.slot || !list_empty(&s->late.link));
}
