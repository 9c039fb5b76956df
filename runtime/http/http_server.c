/* SPDX-License-Identifier: MIT */
/* http_server.c - accepting is a call from the poller, not a task. It pauses while the system lacks descriptors or
 * memory, until clients leave. Any other failure ends it; see net/accept.h. */
#include "http/http_server.h"

#include "base/errors.h"
#include "http/exchange.h"
#include "http/http_heads.h"
#include "net/accept.h"

#include <errno.h>

enum { ACCEPTS_A_TURN = 64 };

/* ---- accepting ---- */

/* Other workers that share the listener may be better off. */
static void decline(struct http_server *s)
{
    if (s->listener.shared)
        share_declines(s->listener.shared);
}

static void accept_failed(struct http_server *s, int error)
{
    s->pause_length = accept_pause(error, s->pause_length);
    s->accept_error = error;
    s->accept_over = s->pause_length == 0;
    decline(s);
    if (s->accept_over)
        list_del(&s->again.link);
    else if (timers_set(&s->loop->timers, &s->pause, clock_add(http_conn_now(s), s->pause_length)) < 0)
        loop_late(s->loop, &s->again);
    http_conn_tell_keeper(s);
}

static void accept_some(struct http_server *s)
{
    struct stream stream;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct http_conn *spare = s->count < s->limits.connections ? NULL : http_conn_oldest_idle(s);
        s->full = s->count >= s->limits.connections && !spare; /* http_conn goes on with it */
        if (s->full)
            decline(s);
        if (s->closing || s->accept_over || s->full)
            return;
        int r = conn_accept_stream(&s->listener, &stream);
        if (spare && r == 0)
            http_conn_close(spare);
        if (r == -EAGAIN) {
            netpoll_arm(s->listener.stream.pd, POLL_R);
            return;
        }
        r = r < 0 ? r : http_heads_begin(s, &stream);
        if (r < 0) {
            accept_failed(s, r);
            return;
        }
        s->pause_length = 0;
    }
    loop_late(s->loop, &s->again); /* more may wait: after the others */
}

static bool on_listener(struct pollDesc *pd, uint32_t events)
{
    struct http_server *s = pd->owner;
    if (events & POLLER_LOST)
        stream_disown(&s->listener.stream);
    else if (s->listener.shared)
        share_woken(s->listener.shared);
    if (s->pause.slot == 0)
        accept_some(s);
    return true;
}

static void on_pause(struct timer *timer) { accept_some(container_of(timer, struct http_server, pause)); }
static void on_again(struct late *late) { accept_some(container_of(late, struct http_server, again)); }

/* ---- the keeper ---- */

/* News are looked at, not queued: what was told once is told again for as long as it is so. */
static int news(struct http_server *s, bool pauses)
{
    if (s->accept_error)
        return HTTP_ACCEPT_FAILED;
    if (!pauses && !list_empty(&s->waiting) && list_empty(&s->workers))
        return HTTP_NO_WORKER;
    return s->closing && s->count == 0 ? HTTP_DRAINED : 0;
}

static void leave_keeper(struct task *t)
{
    struct http_server *s = t->wait.object;
    if (s->keeper == t)
        s->keeper = NULL;
}

static int attempt_keep(struct task *t)
{
    bool over = t->wait.result == ERR_TIMEOUT;
    if (t->wait.result < 0 && !over)
        return t->wait.result;
    return http_server_keep(t->wait.object, t, over ? 0 : t->op.deadline);
}

static int push_news(struct lua_State *L, struct task *t)
{
    return ((struct http_server *)t->wait.object)->face->news(L, t);
}

static void describe_keep(const struct task *t, char *text, size_t n) { http_conn_describe(t->wait.object, text, n); }

static const struct wait_kind kind_keep = {.name = "http.keep", .attempt = attempt_keep, .push = push_news,
                                           .undo = leave_keeper, .describe = describe_keep};

int http_server_keep(struct http_server *s, struct task *t, int64_t pause)
{
    if (sched_canceled(t)) /* so would be the workers that it starts: they take nothing */
        return ERR_CANCELED;
    int r = news(s, pause > 0);
    if (r)
        return r;
    t->op.deadline = pause;
    r = sched_park(t, &kind_keep, s, pause, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    s->keeper = t;
    return SCHED_PARKED;
}

/* ---- opening and closing ---- */

int http_server_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *most)
{
    struct pollDesc *pd;
    int r = conn_poll(listener, &pd);
    if (r == 0 && netpoll_has_waiter(pd))
        r = -EBUSY;
    if (r < 0)
        return r;
    s->loop = loop;
    s->face = face;
    s->limits = *most;
    s->pause.fire = on_pause;
    s->again.run = on_again;
    s->later.run = http_heads_look;
    list_init(&s->again.link);
    list_init(&s->later.link);
    list_init(&s->waiting);
    list_init(&s->idle);
    list_init(&s->arrived);
    list_init(&s->busy);
    list_init(&s->workers);
    conn_init(&s->listener, loop);
    s->listener.owner = &http_conn_owner;
    conn_move(&s->listener, listener);
    s->listener.site = listener->site; /* in reports it is the one that was opened there */
    s->listener.id = listener->id;
    s->listener.creator = listener->creator;
    netpoll_notify(s->listener.stream.pd, on_listener, s);
    loop_late(loop, &s->again); /* who came before us */
    return 0;
}

/* Idle connections end, but for those whose next request is here already: what has arrived, and is still IDLE when it
 * was looked at, is closed by http_heads_serve. */
static void last_look(struct http_server *s)
{
    for (struct list *l = s->idle.next, *next; l != &s->idle; l = next) {
        next = l->next;
        struct http_conn *hc = container_of(l, struct http_conn, link);
        if (hc->state == HTTP_OPENING && s->patience == HTTP_WITH_NONE) {
            http_conn_close(hc);
        } else if (hc->state == HTTP_IDLE && !http_conn_may_ask(hc)) {
            hc->c.drained = false;
            http_conn_join_arrived(hc);
        }
    }
    http_conn_stir(s);
}

static void close_all(struct list *l)
{
    while (!list_empty(l))
        http_conn_close(container_of(l->next, struct http_conn, link));
}

static void dismiss_workers(struct http_server *s)
{
    while (!list_empty(&s->workers))
        sched_wake_waiter(container_of(s->workers.next, struct waiter, link), ERR_CLOSED);
}

static void cancel_workers(struct http_server *s)
{
    for (struct list *l = s->busy.next; l != &s->busy; l = l->next) {
        struct http_exchange *x = container_of(l, struct http_conn, link)->exchange;
        exchange_lose(x);
        if (x->scope)
            sched_scope_cancel(x->scope); /* even what is over and only waits for the client to read */
    }
}

static void cut_workers(struct http_server *s)
{
    while (!list_empty(&s->busy)) {
        struct http_exchange *x = container_of(s->busy.next, struct http_conn, link)->exchange;
        x->wire->sever(x);
    }
}

static void stop_accepting(struct http_server *s)
{
    s->closing = true;
    timers_del(&s->loop->timers, &s->pause);
    list_del(&s->again.link);
    conn_close(&s->listener);
    dismiss_workers(s);
}

void http_server_drain(struct http_server *s, enum http_patience patience)
{
    if (s->closing && patience >= s->patience)
        return;
    s->patience = patience;
    if (!s->closing)
        stop_accepting(s);
    last_look(s);
    http_conn_tell_keeper(s);
}

void http_server_close(struct http_server *s)
{
    if (!s->loop)
        return;
    http_server_drain(s, HTTP_WITH_NONE);
    s->closed = true;
    close_all(&s->idle);
    close_all(&s->arrived);
    list_del(&s->later.link);
    close_all(&s->waiting);
    cancel_workers(s);
}

void http_server_fini(struct http_server *s)
{
    if (!s->loop)
        return;
    http_server_close(s);
    cut_workers(s);
}
