/* SPDX-License-Identifier: MIT */
/* http_conn.c - closing a socket while bytes of the client are unread would reset it, and the client could lose our
 * last response. So only our half is closed after it, and what still comes is read and discarded for a moment. */
#define _GNU_SOURCE
#include "http/http_conn.h"

#include "base/errors.h"
#include "base/hard.h"
#include "base/sys.h"
#include "http/exchange.h"
#include "http/h1_frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DISCARDS = 64 }; /* reads in a row: the timer ends a client that sends more */
enum { LOOKS = 64 };    /* connections that are looked at to find one that is not in the middle of a head */

static const int64_t LEAVE_TIME = 2 * NS_PER_SECOND;

/* ---- time ---- */

/* The timer is moved only if it must fire earlier; otherwise it looks at `due` again when it fires. */
void http_conn_due(struct http_conn *hc, int64_t length)
{
    hc->due = length > 0 ? clock_add(http_conn_now(hc->server), length) : 0;
    if (hc->due && (hc->timer.slot == 0 || hc->timer.when > hc->due))
        (void)timers_set(&hc->server->loop->timers, &hc->timer, hc->due); /* no memory: no limit */
}

/* hc, which has a `due`, has no timer. May end it. */
static void look_at_time(struct http_conn *hc)
{
    int64_t now = http_conn_now(hc->server);
    if (hc->due > now)
        http_conn_due(hc, hc->due - now);
    else if (hc->state == HTTP_HEADING)
        http_conn_answer(hc, 408, buf_at(&hc->c.in), buf_len(&hc->c.in));
    else
        http_conn_close(hc);
}

/* What has arrived may have come in time: after it was read, http_conn_settle looks at the time. */
static void on_timer(struct timer *timer)
{
    struct http_conn *hc = container_of(timer, struct http_conn, timer);
    if (hc->due != 0 && !hc->arrived && hc->state != HTTP_ACTIVE && hc->state != HTTP_WAITING)
        look_at_time(hc);
}

/* ---- its client ---- */

/* Without memory it is not kept, and asked for again. */
static void keep_client(struct http_conn *hc, const char *text, size_t n)
{
    hc->client = sys_alloc(n + 1);
    if (hc->client)
        memcpy(hc->client, text, n + 1);
}

int http_conn_client(struct http_conn *hc, char text[static ADDR_TEXT_MAX])
{
    struct addr a;
    if (hc->client)
        return (int)(stpcpy(text, hc->client) - text);
    int r = stream_address(&hc->c.stream, STREAM_PEER, &a);
    if (r < 0)
        return r;
    size_t n = addr_format(&a, text);
    keep_client(hc, text, n);
    return (int)n;
}

/* ---- beginning and end ---- */

void http_conn_describe(const struct http_server *s, char *text, size_t n)
{
    if (s->closing)
        snprintf(text, n, "a server that is shutting down");
    else
        conn_describe(&s->listener, text, n);
}

void http_conn_tell_keeper(struct http_server *s)
{
    if (s->keeper)
        sched_wake(s->keeper, 0);
}

bool http_conn_in_use(const struct http_conn *hc)
{
    return hc->c.side[POLL_R].holder || hc->c.side[POLL_W].holder;
}

static void free_conn(struct late *late)
{
    struct http_conn *hc = container_of(late, struct http_conn, late);
    if (http_conn_in_use(hc)) {
        loop_late(hc->c.loop, late); /* that task is ready to run, and will let go */
        return;
    }
    conn_fini(&hc->c);
    sys_free(hc->client);
    sys_free(hc);
}

struct http_conn *http_conn_open(struct http_server *s, const struct stream *stream,
                                 bool (*hears)(struct pollDesc *pd, uint32_t events))
{
    struct http_conn *hc = sys_alloc(sizeof *hc);
    struct pollDesc *pd;
    if (!hc) {
        struct stream unused = *stream;
        unused.ops->close(&unused);
        return NULL;
    }
    hc->server = s;
    hc->timer.fire = on_timer;
    hc->late.run = free_conn;
    list_init(&hc->late.link);
    list_init(&hc->link);
    conn_init(&hc->c, s->loop);
    hc->c.owner = &http_conn_owner;
    hc->c.lasting = true;
    conn_open(&hc->c, stream);
    conn_count(&hc->c, &s->listener);
    hc->c.site = s->listener.site; /* in reports it is a part of the server */
    hc->c.id = s->listener.id;
    hc->c.creator = s->listener.creator;
    if (conn_poll(&hc->c, &pd) < 0) {
        free_conn(&hc->late);
        return NULL;
    }
    netpoll_notify(pd, hears, hc);
    hc->c.timeout = s->limits.moving > 0 ? s->limits.moving : -1;
    s->count++;
    http_conn_move(hc, &s->idle, HTTP_OPENING);
    return hc;
}

/* There is room for another connection. */
static void make_room(struct http_server *s)
{
    if (s->full && !s->closing)
        loop_late(s->loop, &s->again);
    s->full = false;
}

void http_conn_settle(struct http_conn *hc)
{
    http_conn_move(hc, &hc->server->idle, hc->state);
    buf_release(&hc->c.in);
    make_room(hc->server);
    if (hc->due != 0 && hc->timer.slot == 0)
        look_at_time(hc);
}

struct http_conn *http_conn_oldest_idle(struct http_server *s)
{
    int looks = 0;
    for (struct list *l = s->idle.next; l != &s->idle && looks < LOOKS; l = l->next, looks++) {
        struct http_conn *hc = container_of(l, struct http_conn, link);
        if (hc->state == HTTP_IDLE || hc->state == HTTP_OPENING || hc->lingers)
            return hc;
    }
    return NULL;
}

void http_conn_move(struct http_conn *hc, struct list *to, enum http_state state)
{
    list_del(&hc->link);
    list_push(to, &hc->link);
    hc->state = (uint8_t)state;
}

void http_conn_begin_head(struct http_conn *hc)
{
    if (hc->state == HTTP_HEADING)
        return;
    http_conn_move(hc, &hc->server->idle, HTTP_HEADING);
    http_conn_due(hc, hc->server->limits.heading);
}

void http_conn_close(struct http_conn *hc)
{
    struct http_server *s = hc->server;
    must(!hc->exchange);
    list_del(&hc->link);
    timers_del(&s->loop->timers, &hc->timer);
    conn_close(&hc->c); /* fails operations on it */
    free_conn(&hc->late);
    if (--s->count == 0)
        http_conn_tell_keeper(s);
    make_room(s);
}

/* ---- what has arrived ---- */

/* Wakes the worker that became idle last: its memory is warm. */
void http_conn_stir(struct http_server *s)
{
    if (s->stirred || list_empty(&s->arrived))
        return;
    s->stirred = !list_empty(&s->workers);
    if (s->stirred)
        sched_wake_waiter(container_of(s->workers.prev, struct waiter, link), 0);
    else
        loop_late(s->loop, &s->later);
}

void http_conn_go_idle(struct http_conn *hc)
{
    hc->state = HTTP_IDLE;
    http_conn_due(hc, hc->server->limits.idle);
    if (buf_len(&hc->c.in) > 0 || http_conn_has_news(hc)) {
        http_conn_join_arrived(hc);
        return;
    }
    hc->c.stream.again = POLL_R;
    http_conn_settle(hc);
    netpoll_arm(hc->c.stream.pd, POLL_R);
}

/* ---- the last response, and the first handshake ---- */

/* Sends the last response, which is in `in`. Returns 0: all of it; -EAGAIN; or why not. */
static int send_words(struct conn *c)
{
    while (buf_len(&c->in) > 0) {
        struct iovec iov = {.iov_base = (char *)buf_at(&c->in), .iov_len = buf_len(&c->in)};
        ssize_t sent = c->stream.ops->write(&c->stream, &iov, 1);
        if (sent < 0)
            return (int)sent;
        buf_consume(&c->in, (size_t)sent);
    }
    return 0;
}

/* Does not try if the last read took all that was there. */
static void discard(struct http_conn *hc)
{
    struct loop *l = hc->c.loop;
    const struct stream_ops *ops = hc->c.stream.ops;
    hc->c.stream.again = POLL_R;
    if (!http_conn_has_news(hc)) {
        http_conn_arm(hc);
        return;
    }
    for (int i = 0; i < DISCARDS; i++) {
        ssize_t got = (hc->lingers ? ops->linger : ops->read)(&hc->c.stream, l->scratch, limits.scratch);
        if (got == -EAGAIN) {
            http_conn_arm(hc);
            return;
        }
        if (got <= 0) {
            http_conn_close(hc);
            return;
        }
    }
}

static void go_on_leaving(struct http_conn *hc)
{
    struct conn *c = &hc->c;
    int r = hc->said ? 0 : send_words(c);
    if (r == -EAGAIN) {
        http_conn_arm(hc);
        return;
    }
    if (!hc->said) {
        buf_fini(&c->in);
        hc->said = true;
        r = c->ended || hc->server->closed ? ERR_CLOSED : conn_close_write(c);
    }
    if (r < 0)
        http_conn_close(hc);
    else
        discard(hc);
}

void http_conn_discard(struct http_conn *hc)
{
    hc->c.drained = false;
    go_on_leaving(hc);
}

static void leave(struct http_conn *hc)
{
    http_conn_move(hc, &hc->server->idle, HTTP_LEAVING);
    http_conn_due(hc, LEAVE_TIME);
    go_on_leaving(hc);
}

/* The client gets a moment to read why its handshake was refused: it may have sent a request already. */
static void linger(struct http_conn *hc)
{
    hc->lingers = hc->c.stream.ops->linger && !hc->server->closed;
    hc->said = true;
    if (hc->lingers)
        leave(hc);
    else
        http_conn_close(hc);
}

bool http_conn_handshake(struct http_conn *hc)
{
    int r = stream_handshake(&hc->c.stream);
    if (r == 0) {
        hc->state = HTTP_IDLE;
        http_conn_due(hc, hc->server->limits.idle);
        return true;
    }
    if (r != -EAGAIN) {
        linger(hc);
        return false;
    }
    if (hc->due == 0)
        http_conn_due(hc, hc->server->limits.opening);
    http_conn_arm(hc);
    return false;
}

void http_conn_leave(struct http_conn *hc)
{
    buf_fini(&hc->c.in);
    leave(hc);
}

void http_conn_answer(struct http_conn *hc, int status, const char *bytes, size_t n)
{
    struct buf out = {0};
    if (h1_put_answer(&out, status, h1_parse_is_to_head(bytes, n), http_conn_date(hc->server)) < 0)
        buf_fini(&out);
    buf_fini(&hc->c.in);
    hc->c.in = out;
    hc->server->refused++;
    leave(hc);
}

/* ---- checks ---- */

/* Counts the connections in a list, each of which must be in one of those states (a set of bits). */
static uint32_t count_in(const struct http_server *s, const struct list *in, unsigned states)
{
    uint32_t n = 0;
    for (const struct list *l = in->next; l != in; l = l->next, n++) {
        const struct http_conn *hc = container_of(l, struct http_conn, link);
        must(hc->server == s && (states >> hc->state & 1));
        must(hc->arrived == (in == &s->arrived));
        must((hc->exchange != NULL) == (hc->state == HTTP_ACTIVE));
        must(!hc->exchange || (hc->exchange->conn == hc && list_empty(&hc->exchange->waiter.link)));
    }
    return n;
}

/* A hijacked connection is in no list; an ACTIVE one may be closed, but still belongs to its worker. */
static void check_lists(const struct http_server *s)
{
    uint32_t n = count_in(s, &s->idle, 1u << HTTP_OPENING | 1u << HTTP_IDLE | 1u << HTTP_HEADING | 1u << HTTP_LEAVING);
    n += count_in(s, &s->arrived, 1u << HTTP_IDLE | 1u << HTTP_HEADING);
    n += count_in(s, &s->waiting, 1u << HTTP_WAITING);
    n += count_in(s, &s->busy, 1u << HTTP_ACTIVE);
    must(n == s->count);
    must(list_length(&s->workers) == s->idle_workers);
}

static void check(const struct conn *c)
{
    bool listens = c->kind == CONN_LISTENER;
    const struct http_server *s =
        listens ? container_of(c, struct http_server, listener) : http_conn_of((struct conn *)c)->server;
    if (listens || s->closing)
        check_lists(s);
    must(list_empty(&s->arrived) || s->stirred || !list_empty(&s->later.link)); /* they will be read */
    must(list_empty(&s->waiting) || s->idle_workers == 0); /* no worker sleeps while a request waits */
    must(!s->closing || s->idle_workers == 0);
}

const struct conn_owner http_conn_owner = {.check = check};
