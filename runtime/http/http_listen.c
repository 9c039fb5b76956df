/* SPDX-License-Identifier: MIT */
/* http_listen.c - accepting is a call from the poller, not a task. What the system has run out of comes back when
 * clients leave: until then accepting rests, longer and longer. */
#include "http/http_listen.h"

#include "base/errors.h"
#include "http/http_conn.h"

#include <errno.h>

enum { ACCEPTS_A_TURN = 64 };

static const int64_t FIRST_PAUSE = 5 * NS_PER_SECOND / 1000, LONGEST_PAUSE = NS_PER_SECOND;

/* ---- accepting ---- */

static void pause_accepting(struct http_server *s, int error)
{
    s->pause_length = s->pause_length ? 2 * s->pause_length : FIRST_PAUSE;
    if (s->pause_length > LONGEST_PAUSE)
        s->pause_length = LONGEST_PAUSE;
    s->accept_error = error;
    if (timers_set(&s->loop->timers, &s->pause, clock_add(http_conn_now(s), s->pause_length)) < 0)
        loop_late(s->loop, &s->again);
    http_conn_tell_keeper(s);
}

static void accept_some(struct http_server *s)
{
    struct stream stream;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct http_conn *spare = s->count < s->limits.connections ? NULL : http_conn_oldest_idle(s);
        s->full = s->count >= s->limits.connections && !spare; /* http_conn goes on with it */
        if (s->closing || s->full)
            return;
        int r = conn_accept_stream(&s->listener, &stream);
        if (spare && r == 0)
            http_conn_close(spare);
        if (r == -EAGAIN) {
            netpoll_arm(s->listener.stream.pd, POLL_R);
            return;
        }
        r = r < 0 ? r : http_server_begin(s, &stream);
        if (r < 0) {
            pause_accepting(s, r);
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
    if (s->pause.slot == 0)
        accept_some(s);
    return true;
}

static void on_pause(struct timer *timer) { accept_some(container_of(timer, struct http_server, pause)); }
static void on_again(struct late *late) { accept_some(container_of(late, struct http_server, again)); }

/* ---- opening and closing ---- */

int http_listen_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
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
    s->later.run = http_server_look;
    list_init(&s->again.link);
    list_init(&s->later.link);
    list_init(&s->waiting);
    list_init(&s->idle);
    list_init(&s->arrived);
    list_init(&s->busy);
    list_init(&s->workers);
    conn_init(&s->listener, loop);
    s->listener.check = http_conn_check;
    conn_move(&s->listener, listener);
    netpoll_notify(s->listener.stream.pd, on_listener, s);
    loop_late(loop, &s->again); /* who came before us */
    return 0;
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

void http_listen_drain(struct http_server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    timers_del(&s->loop->timers, &s->pause);
    list_del(&s->again.link);
    conn_close(&s->listener);
    http_server_last_look(s);
    dismiss_workers(s);
    http_conn_tell_keeper(s);
}

void http_listen_close(struct http_server *s)
{
    if (!s->loop)
        return;
    http_listen_drain(s);
    s->closed = true;
    close_all(&s->idle);
    close_all(&s->arrived);
    list_del(&s->later.link);
    close_all(&s->waiting);
    http_server_cancel(s);
}

void http_listen_fini(struct http_server *s)
{
    if (!s->loop)
        return;
    http_listen_close(s);
    http_server_cut(s);
}
