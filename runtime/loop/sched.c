/* SPDX-License-Identifier: MIT */
/* sched.c - one thread owns every task, so there is no race between announcing a wait and parking:
 * a field and a list replace the compare-and-swap state machine that Go needs. */
#include "loop/sched.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"

#include <errno.h>

static const struct wait_kind kind_start = {.name = "start"};
static const struct wait_kind kind_yield = {.name = "yield"};

static void wait_deadline_passed(struct timer *timer)
{
    struct wait *w = container_of(timer, struct wait, timer);
    sched_wake(container_of(w, struct task, wait), ERR_TIMEOUT);
}

void sched_init(struct sched *s, struct timers *timers)
{
    *s = (struct sched){.timers = timers};
    list_init(&s->ready);
}

/* Waits and timers of attendants do not count. */
static void count_outside(const struct task *t, int n)
{
    if (!t->attendant)
        t->sched->outside += (uint32_t)n;
}

static void make_ready(struct task *t)
{
    t->state = TASK_READY;
    list_push(&t->sched->ready, &t->link);
}

/* Level-triggered: a child starts cancelled if a wait of its scope's owner, there, would be refused. */
static bool born_canceled(const struct scope *parent)
{
    for (const struct scope *sc = parent; sc; sc = sc->outer) {
        if (sc->canceled)
            return true;
        if (sc->shield)
            return false;
    }
    return parent->owner->canceled;
}

/* Its owner waits for the tasks in it, so where the loop does not wait for the owner, it does not for them. */
static bool is_daemons(const struct scope *sc) { return sc && sc->owner->daemon && !sc->owner->attendant; }

void sched_start(struct sched *s, struct task *t, struct scope *parent)
{
    t->sched = s;
    t->id = ++s->last_id;
    t->creator = s->running ? s->running->id : 0;
    t->values = -1;
    t->wait.kind = &kind_start;
    t->wait.since = s->now;
    t->wait.timer.fire = wait_deadline_passed;
    t->wait.self.task = t;
    list_init(&t->wait.self.link);
    list_init(&t->link);
    list_init(&t->sibling);
    list_init(&t->joiners);
    t->parent = parent;
    if (parent) {
        list_push(&parent->children, &t->sibling);
        t->canceled = born_canceled(parent);
    }
    t->daemon = is_daemons(parent);
    s->alive += !t->daemon;
    make_ready(t);
}

struct task *sched_next(struct sched *s)
{
    must(s->running == NULL);
    struct list *link = list_pop(&s->ready);
    if (!link)
        return NULL;
    struct task *t = container_of(link, struct task, link);
    t->state = TASK_RUNNING;
    t->budget = limits.operations;
    s->running = t;
    return t;
}

int sched_park(struct task *t, const struct wait_kind *kind, void *object, int64_t deadline,
               unsigned flags)
{
    struct sched *s = t->sched;
    must(t->state == TASK_RUNNING && s->running == t);
    if (!(flags & WAIT_SHIELDED) && sched_canceled(t))
        return ERR_CANCELED;
    if (deadline < 0)
        return ERR_TIMEOUT;
    if (deadline > 0 && timers_set(s->timers, &t->wait.timer, deadline) < 0)
        return -ENOMEM;

    struct wait *w = &t->wait;
    w->kind = kind;
    w->object = object;
    w->since = s->now;
    w->result = 0;
    w->index = 0;
    t->refused = 0;
    w->shielded = flags & WAIT_SHIELDED;
    w->outside = deadline > 0 || flags & WAIT_OUTSIDE;
    count_outside(t, w->outside);
    t->state = TASK_PARKED;
    return 0;
}

int sched_again(struct task *t, const struct wait_kind *kind, void *object)
{
    must(t->state == TASK_RUNNING);
    t->wait.kind = kind;
    t->wait.since = t->sched->now;
    t->wait.object = object;
    t->wait.result = 0;
    make_ready(t);
    return SCHED_PARKED;
}

void sched_give_way(struct task *t) { (void)sched_again(t, &kind_yield, NULL); }

void sched_set_outside(struct task *t, bool outside)
{
    must(t->state == TASK_PARKED);
    count_outside(t, outside - t->wait.outside);
    t->wait.outside = outside;
}

void sched_wake(struct task *t, int result)
{
    must(t->state == TASK_PARKED);
    if (t->wait.kind->undo)
        t->wait.kind->undo(t);
    timers_del(t->sched->timers, &t->wait.timer);
    t->wait.result = result;
    make_ready(t);
    count_outside(t, -t->wait.outside);
    t->wait.outside = false;
}

void sched_wake_waiter(struct waiter *w, int result)
{
    w->task->wait.index = w->index;
    sched_wake(w->task, result);
}

static bool is_canceled(const struct task *t)
{
    for (struct scope *sc = t->scope; sc; sc = sc->outer) {
        if (sc->canceled) {
            sc->delivered = true;
            return true;
        }
        if (sc->shield)
            return false;
    }
    return t->canceled;
}

bool sched_canceled(struct task *t)
{
    bool canceled = is_canceled(t);
    t->refused += canceled && t->state == TASK_RUNNING;
    return canceled;
}

static void interrupt(struct task *t)
{
    if (t->state == TASK_PARKED && !t->wait.shielded && sched_canceled(t))
        sched_wake(t, ERR_CANCELED);
}

/* Puts the children of t's scopes on the work list: those of `last` (NULL: the outermost) and of what
 * is inside it, unless a shield is in between; a shield does not stop its own cancelling. */
static void gather_children(struct task *t, const struct scope *last, struct task **work)
{
    struct scope *from = t->scope;
    for (struct scope *sc = t->scope; sc != last; sc = sc->outer)
        if (sc->shield)
            from = sc->outer;
    for (struct scope *sc = from; sc; sc = sc == last ? NULL : sc->outer)
        for (struct list *l = sc->children.next; l != &sc->children; l = l->next) {
            struct task *child = container_of(l, struct task, sibling);
            if (child->canceled)
                continue;
            child->canceled = true;
            child->next = *work;
            *work = child;
        }
}

/* A work list instead of recursion: scopes may nest deeper than the C stack. */
static void cancel_all(struct task *work)
{
    while (work) {
        struct task *t = work;
        work = t->next;
        t->next = NULL;
        interrupt(t);
        gather_children(t, NULL, &work);
    }
}

void sched_cancel(struct task *t)
{
    if (t->state == TASK_DONE || t->canceled)
        return;
    t->canceled = true;
    t->next = NULL;
    cancel_all(t);
}

void sched_finish(struct task *t)
{
    struct sched *s = t->sched;
    must(t->state == TASK_RUNNING && s->running == t);
    t->state = TASK_DONE;
    s->running = NULL;
    s->alive -= !t->daemon;
    while (t->scope)
        sched_scope_close(t->scope);
    list_del(&t->sibling);
    struct scope *parent = t->parent;
    t->parent = NULL;
    if (parent && parent->joining && list_empty(&parent->children))
        sched_wake(parent->owner, 0);
    t->awaited = !list_empty(&t->joiners);
    while (!list_empty(&t->joiners))
        sched_wake_waiter(container_of(t->joiners.next, struct waiter, link), 0);
}

static void scope_deadline_passed(struct timer *timer)
{
    struct scope *sc = container_of(timer, struct scope, timer);
    count_outside(sc->owner, -1);
    sched_scope_cancel(sc);
}

void sched_attend(struct task *t)
{
    must(t->state == TASK_RUNNING);
    if (t->attendant)
        return;
    for (const struct scope *sc = t->scope; sc; sc = sc->outer)
        count_outside(t, -(sc->timer.slot != 0));
    t->attendant = true;
    sched_set_daemon(t, true);
}

void sched_set_daemon(struct task *t, bool daemon)
{
    if (t->state == TASK_DONE || t->daemon == daemon || (t->attendant && !daemon))
        return;
    t->daemon = daemon;
    t->sched->alive += daemon ? UINT32_MAX : 1;
}

void sched_put_first(struct task *first, struct task *second)
{
    must(first->state == TASK_READY && second->state == TASK_READY);
    list_del(&second->link);
    list_push(first->sched->ready.next, &second->link);
    list_del(&first->link);
    list_push(&second->link, &first->link);
}

void sched_expect(struct sched *s, int n)
{
    must(n >= 0 || s->outside >= (uint32_t)-n);
    s->outside += (uint32_t)n;
}

struct scope *sched_scope_open(struct task *t, bool shield)
{
    struct scope *sc = sys_alloc(sizeof *sc);
    if (!sc)
        return NULL;
    sc->owner = t;
    sc->outer = t->scope;
    sc->shield = shield;
    sc->timer.fire = scope_deadline_passed;
    list_init(&sc->children);
    t->scope = sc;
    return sc;
}

int sched_scope_deadline(struct scope *sc, int64_t when)
{
    struct sched *s = sc->owner->sched;
    bool armed = sc->timer.slot != 0;
    int r = timers_set(s->timers, &sc->timer, when);
    if (r == 0)
        count_outside(sc->owner, !armed);
    return r;
}

void sched_scope_cancel(struct scope *sc)
{
    struct task *work = NULL;
    if (sc->canceled)
        return;
    sc->canceled = true;
    interrupt(sc->owner);
    gather_children(sc->owner, sc, &work);
    sc->delivered |= work != NULL;
    cancel_all(work);
}

void sched_scope_renew(struct scope *sc)
{
    struct sched *s = sc->owner->sched;
    sc->canceled = sc->delivered = false;
    if (sc->timer.slot == 0)
        return;
    timers_del(s->timers, &sc->timer);
    count_outside(sc->owner, -1);
}

static void stop_joining(struct task *t)
{
    ((struct scope *)t->wait.object)->joining = false;
}

/* Another task may have started one more child in it since the wake. */
static int join_again(struct task *t)
{
    return t->wait.result < 0 ? t->wait.result : sched_scope_join(t->wait.object);
}

static const struct wait_kind kind_children = {
    .name = "children", .attempt = join_again, .undo = stop_joining};

bool sched_scope_joined(const struct scope *sc)
{
    const struct task *t = sc->owner;
    return (t->state == TASK_PARKED || t->state == TASK_READY) && t->wait.kind == &kind_children &&
           t->wait.object == sc;
}

/* Its owner is waiting in it and would never be woken: wake it now. */
static void end_join(struct scope *sc)
{
    if (!sched_scope_joined(sc))
        return;
    if (sc->owner->state == TASK_PARKED)
        sched_wake(sc->owner, ERR_CLOSED);
    sc->owner->wait.result = ERR_CLOSED;
}

/* They pass to the next outer scope, as if started there; without one they belong to no scope. */
static void pass_children_on(struct scope *sc)
{
    struct scope *heir = sc->outer ? sc->outer : sc->owner->parent;
    bool canceled = heir && born_canceled(heir);
    for (struct list *l; (l = list_pop(&sc->children));) {
        struct task *child = container_of(l, struct task, sibling);
        child->parent = heir;
        sched_set_daemon(child, is_daemons(heir));
        if (heir)
            list_push(&heir->children, l);
        if (canceled)
            sched_cancel(child);
    }
}

void sched_scope_close(struct scope *sc)
{
    struct task *t = sc->owner;
    end_join(sc);
    if (sc->timer.slot) {
        timers_del(t->sched->timers, &sc->timer);
        count_outside(t, -1);
    }
    pass_children_on(sc);
    struct scope **at = &t->scope;
    while (*at != sc)
        at = &(*at)->outer;
    *at = sc->outer;
    if (sc->handle)
        *sc->handle = NULL;
    sys_free(sc);
}

void sched_scope_abandon(struct scope *sc)
{
    for (struct list *l = sc->children.next; l != &sc->children; l = l->next)
        sched_cancel(container_of(l, struct task, sibling));
    sched_scope_close(sc);
}

int sched_scope_join(struct scope *sc)
{
    if (list_empty(&sc->children))
        return 0;
    int r = sched_park(sc->owner, &kind_children, sc, 0, WAIT_SHIELDED);
    must(r == 0);
    sc->joining = true;
    return SCHED_PARKED;
}

void sched_check(const struct sched *s)
{
    for (const struct list *l = s->ready.next; l != &s->ready; l = l->next) {
        must(l->next->prev == l);
        must(container_of(l, struct task, link)->state == TASK_READY);
    }
    must(!s->running || s->running->state == TASK_RUNNING);
}
