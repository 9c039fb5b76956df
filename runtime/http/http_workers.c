/* SPDX-License-Identifier: MIT */
/* http_workers.c - a worker finds its next request itself: it goes through the waiting requests and the connections
 * that have `arrived`, and sleeps only if there are none. */
#include "http/http_workers.h"

#include "base/errors.h"
#include "http/http_heads.h"

#include <errno.h>

static const int64_t DISCARD_TIME = 2 * NS_PER_SECOND; /* for a body that no handler read */

/* ---- taking ---- */

static void on_late(struct late *late) { exchange_push(container_of(late, struct http_exchange, late)); }

int http_workers_join(struct http_server *s, struct http_exchange *x, struct task *t)
{
    list_init(&x->waiter.link);
    list_init(&x->late.link);
    x->late.run = on_late;
    x->server = s;
    x->scope = sched_scope_open(t, false);
    if (!x->scope)
        return -ENOMEM;
    x->scope->handle = &x->scope;
    return 0;
}

static int attempt_take(struct task *t)
{
    struct http_exchange *x = t->wait.object;
    x->server->stirred = false; /* harmless if another worker was woken for that */
    if (t->wait.result == 0)
        return http_workers_take(x, t);
    http_conn_stir(x->server);
    return t->wait.result;
}

static void leave_workers(struct task *t)
{
    struct http_exchange *x = t->wait.object;
    if (list_empty(&x->waiter.link))
        return;
    list_del(&x->waiter.link);
    x->server->idle_workers--;
}

static int push_taken(struct lua_State *L, struct task *t)
{
    return ((struct http_exchange *)t->wait.object)->server->face->taken(L, t);
}

static void describe_take(const struct task *t, char *text, size_t n)
{
    http_conn_describe(((const struct http_exchange *)t->wait.object)->server, text, n);
}

static const struct wait_kind kind_take = {.name = "http.take", .attempt = attempt_take, .push = push_taken,
                                           .undo = leave_workers, .describe = describe_take};

/* Takes the first request whose head is valid, of those that wait, then of those that have arrived. */
static bool find_request(struct http_exchange *x)
{
    struct http_server *s = x->server;
    while (!x->conn && !list_empty(&s->waiting)) {
        struct http_conn *hc = container_of(list_pop(&s->waiting), struct http_conn, link);
        hc->state = HTTP_HEADING;
        http_heads_serve(hc, x);
    }
    while (!x->conn && !list_empty(&s->arrived))
        http_heads_serve(http_conn_next_arrived(s), x);
    http_conn_stir(s);
    return x->conn;
}

static int stand_by(struct http_exchange *x, struct task *t)
{
    struct http_server *s = x->server;
    if (s->closing)
        return ERR_CLOSED;
    if (s->idle_workers >= s->limits.workers)
        return ERR_EOF; /* there are enough */
    int r = sched_park(t, &kind_take, x, 0, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    x->waiter.task = t;
    list_push(&s->workers, &x->waiter.link);
    s->idle_workers++;
    return SCHED_PARKED;
}

int http_workers_take(struct http_exchange *x, struct task *t)
{
    must(!x->conn);
    if (sched_canceled(t)) { /* by its handler: it could not wait for anything, and every request would fail */
        http_conn_stir(x->server);
        return ERR_CANCELED;
    }
    return find_request(x) ? 0 : stand_by(x, t);
}

/* ---- after a request ---- */

/* x's handler has returned: renews the scope. */
static void handler_over(struct http_exchange *x)
{
    if (x->returned)
        return;
    x->returned = true;
    x->gone |= x->scope->owner->canceled; /* no task is left that could respond */
    x->overdue = x->scope->canceled && !x->gone;
    x->curtailed = (x->scope->canceled && x->scope->delivered) || x->scope->owner->canceled;
    sched_scope_renew(x->scope);
}

static enum http_left what_is_left(struct http_exchange *x)
{
    if (x->discarding)
        sched_scope_renew(x->scope);
    if (x->failure || x->conn->c.closed || http_conn_in_use(x->conn))
        return HTTP_LEFT_NOTHING;
    if (x->framing.phase != HTTP_SENT)
        return HTTP_LEFT_ANSWER;
    bool wanted = !x->body.over && !x->discarding && exchange_is_short(x) && x->wire->goes_on(x);
    if (!wanted || sched_scope_deadline(x->scope, clock_add(http_conn_now(x->server), DISCARD_TIME)) < 0)
        return HTTP_LEFT_NOTHING;
    x->discarding = true;
    return HTTP_LEFT_BODY;
}

enum http_left http_workers_end(struct http_exchange *x, bool settled)
{
    handler_over(x);
    enum http_left left = what_is_left(x);
    if (left == HTTP_LEFT_ANSWER && !settled)
        return left;
    if (left == HTTP_LEFT_ANSWER)
        exchange_fail(x, ERR_CLOSED);
    x->serial++; /* makes handles of it stale */
    if (left == HTTP_LEFT_BODY)
        return left;
    if (x->wire->next(x))
        return HTTP_LEFT_NOTHING;
    if (!x->failure && !x->conn->c.closed && exchange_flush(x) == -EAGAIN)
        return HTTP_LEFT_FLUSH;
    x->wire->release(x);
    return HTTP_LEFT_NOTHING;
}

void http_workers_quit(struct http_exchange *x)
{
    if (!x->conn)
        return;
    bool answered = x->framing.phase == HTTP_SENT && !x->failure && !x->conn->c.closed && exchange_flush(x) == 0;
    if (!answered)
        exchange_fail(x, ERR_CLOSED);
    x->wire->release(x);
}

void http_workers_drop(struct http_exchange *x)
{
    if (x->conn)
        x->wire->sever(x);
    if (x->scope)
        x->scope->handle = NULL; /* it ends with its task */
    x->scope = NULL;
    list_del(&x->late.link);
    buf_fini(&x->bytes);
    buf_fini(&x->out);
    buf_fini(&x->trailer);
}
