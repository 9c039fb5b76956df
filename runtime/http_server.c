/* SPDX-License-Identifier: MIT */
/* http_server.c - readiness of an idle connection comes as a call, not as a task that wakes up: one look at what was
 * received, and a worker is woken only for a whole head. Bytes go straight from the loop's scratch into the worker's
 * exchange; a connection's own buffer is for what came too early or too late. */
#define _GNU_SOURCE
#include "http_server.h"

#include "errors.h"
#include "hard.h"
#include "socket.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ACCEPTS_A_TURN = 64, FLUSH_AT = 65536, KEPT_BUFFER = 16384 };

static const int64_t FIRST_PAUSE = 5 * NS_PER_SECOND / 1000, LONGEST_PAUSE = NS_PER_SECOND;
static const int64_t LEAVE_TIME = 2 * NS_PER_SECOND; /* for the client to read our last words */

static bool on_event(struct pollDesc *pd, uint32_t events);
static void serve(struct http_conn *hc);

/* ---- time ---- */

static int64_t now(const struct http_server *s) { return s->loop->sched.now; }

/* The timer is moved only when it must fire earlier: else it looks at `due` again when it fires. */
static void set_due(struct http_conn *hc, int64_t length)
{
    hc->due = length > 0 ? clock_add(now(hc->server), length) : 0;
    if (hc->due && (hc->timer.slot == 0 || hc->timer.when > hc->due))
        (void)timers_set(&hc->server->loop->timers, &hc->timer, hc->due); /* no memory: then it has no limit */
}

const char *http_server_date(struct http_server *s)
{
    if (s->date_due > now(s))
        return s->date;
    int64_t wall = clock_wall(&s->loop->clock);
    time_t seconds = (time_t)(wall / NS_PER_SECOND);
    struct tm tm;
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    gmtime_r(&seconds, &tm);
    snprintf(s->date, sizeof s->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    s->date_due = clock_add(now(s), NS_PER_SECOND - wall % NS_PER_SECOND);
    return s->date;
}

/* ---- the keeper ---- */

static void wake_keeper(struct http_server *s)
{
    if (s->keeper)
        sched_wake(s->keeper, 0);
}

static int news(struct http_server *s)
{
    if (s->accept_error)
        return HTTP_ACCEPT_FAILED;
    if (!list_empty(&s->waiting) && list_empty(&s->workers))
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
    return t->wait.result < 0 ? t->wait.result : http_server_keep(t->wait.object, t);
}

static int push_news(struct lua_State *L, struct task *t)
{
    return ((struct http_server *)t->wait.object)->face->news(L, t);
}

static const struct wait_kind kind_keep = {
    .name = "http.keep", .attempt = attempt_keep, .push = push_news, .undo = leave_keeper};

int http_server_keep(struct http_server *s, struct task *t)
{
    int r = news(s);
    if (r)
        return r;
    r = sched_park(t, &kind_keep, s, 0, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    s->keeper = t;
    return SCHED_PARKED;
}

/* ---- connections come and go ---- */

static void move(struct http_conn *hc, struct list *to, enum http_state state)
{
    list_del(&hc->link);
    list_push(to, &hc->link);
    hc->state = (uint8_t)state;
}

static void close_conn(struct http_conn *hc)
{
    struct http_server *s = hc->server;
    list_del(&hc->link);
    timers_del(&s->loop->timers, &hc->timer);
    conn_fini(&hc->c);
    sys_free(hc);
    s->count--;
    s->closed++;
    if (s->count == 0 || s->count + 1 == s->limits.connections)
        wake_keeper(s);
    if (s->count + 1 == s->limits.connections && !s->closing)
        timers_set(&s->loop->timers, &s->pause, now(s)); /* accepting had stopped */
}

static bool is_idle(const struct http_conn *hc) { return hc->state != HTTP_ACTIVE && hc->state != HTTP_WAITING; }

/* Our last words are out: the client is given a moment to read them, for closing with bytes of his unread would
 * take them away again. */
static void leave(struct http_conn *hc)
{
    struct http_server *s = hc->server;
    buf_fini(&hc->c.in);
    if (hc->c.ended || conn_close_write(&hc->c) < 0) {
        close_conn(hc);
        return;
    }
    move(hc, &s->idle, HTTP_LEAVING);
    set_due(hc, LEAVE_TIME);
    netpoll_arm(hc->c.stream.pd, POLL_R);
}

/* An answer that needs no worker: the request was not understood, or came too late. */
static void answer(struct http_conn *hc, int status)
{
    struct http_peer peer = {.keep_alive = false};
    struct http_out framing = {.phase = HTTP_UNSENT};
    struct buf out = {0};
    const char *reason = http_reason(status);
    int r = http_begin_response(&framing, &peer, &out, status, (int64_t)strlen(reason) + 1, http_server_date(hc->server));
    if (r == 0)
        r = http_add_field(&out, "Content-Type", 12, "text/plain", 10);
    if (r == 0)
        r = http_end_head(&out);
    if (r == 0)
        r = buf_append(&out, reason, strlen(reason));
    if (r == 0)
        r = buf_append(&out, "\n", 1);
    if (r == 0) { /* a few hundred bytes into an empty socket: whatever does not fit was not wanted */
        struct iovec iov = {.iov_base = (char *)buf_at(&out), .iov_len = buf_len(&out)};
        (void)hc->c.stream.ops->write(&hc->c.stream, &iov, 1);
    }
    buf_fini(&out);
    hc->server->refused++;
    leave(hc);
}

static void on_timer(struct timer *timer)
{
    struct http_conn *hc = container_of(timer, struct http_conn, timer);
    struct http_server *s = hc->server;
    if (hc->due == 0 || hc->state == HTTP_ACTIVE || hc->state == HTTP_WAITING)
        return;
    if (hc->due > now(s))
        set_due(hc, hc->due - now(s));
    else if (hc->state == HTTP_HEADING)
        answer(hc, 408);
    else
        close_conn(hc);
}

static struct http_conn *new_conn(struct http_server *s, int fd)
{
    struct http_conn *hc = sys_alloc(sizeof *hc);
    struct pollDesc *pd;
    if (!hc) {
        sys_close(fd);
        return NULL;
    }
    hc->server = s;
    hc->timer.fire = on_timer;
    list_init(&hc->link);
    conn_init(&hc->c, s->loop, &s->face->conn);
    conn_open_socket(&hc->c, s->listener.stream.ops, fd);
    if (conn_poll(&hc->c, &pd) < 0) {
        conn_fini(&hc->c);
        sys_free(hc);
        return NULL;
    }
    netpoll_notify(pd, on_event, hc);
    hc->c.timeout = s->limits.moving > 0 ? s->limits.moving : -1;
    s->count++;
    move(hc, &s->idle, HTTP_IDLE);
    set_due(hc, s->limits.idle);
    return hc;
}

/* ---- accepting ---- */

static void pause_accepting(struct http_server *s, int error)
{
    s->pause_length = s->pause_length ? 2 * s->pause_length : FIRST_PAUSE;
    if (s->pause_length > LONGEST_PAUSE)
        s->pause_length = LONGEST_PAUSE;
    s->accept_error = error;
    timers_set(&s->loop->timers, &s->pause, clock_add(now(s), s->pause_length));
    wake_keeper(s);
}

/* A new connection's request is most often there already: it is looked at here. */
static void accept_some(struct http_server *s)
{
    struct addr peer;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        if (s->closing || s->count >= s->limits.connections)
            return; /* close_conn goes on with it */
        int fd = socket_accept(s->listener.stream.fd, &peer);
        if (fd == -EAGAIN) {
            netpoll_arm(s->listener.stream.pd, POLL_R);
            return;
        }
        struct http_conn *hc = fd < 0 ? NULL : new_conn(s, fd);
        if (!hc) {
            pause_accepting(s, fd < 0 ? fd : -ENOMEM);
            return;
        }
        s->pause_length = 0;
        serve(hc);
    }
    timers_set(&s->loop->timers, &s->pause, now(s)); /* more may wait: after the others */
}

static bool on_listener(struct pollDesc *pd, uint32_t events)
{
    (void)events;
    accept_some(pd->owner);
    return true;
}

static void on_pause(struct timer *timer)
{
    accept_some(container_of(timer, struct http_server, pause));
}

/* ---- reading heads ---- */

/* The request is x's; `length` bytes of head are at `bytes`. 0 or -ENOMEM. */
static int begin_exchange(struct http_exchange *x, struct http_conn *hc, const char *bytes, size_t length)
{
    x->bytes.start = x->bytes.end = 0;
    if (buf_append(&x->bytes, bytes, length) < 0)
        return -ENOMEM;
    x->conn = hc;
    x->serial++;
    x->gone = false;
    x->continued = !x->head.expect || x->head.minor == 0;
    x->limit = hc->server->limits.body;
    x->framing = (struct http_out){.phase = HTTP_UNSENT};
    x->mark = buf_len(&x->out);
    http_request_body(&x->body, &x->head);
    http_peer_of(&x->peer, &x->head, bytes);
    hc->exchange = x;
    hc->requests++;
    hc->searched = 0;
    hc->server->served++;
    x->peer.keep_alive &= !hc->server->closing &&
                          (hc->server->limits.requests == 0 || hc->requests < hc->server->limits.requests);
    move(hc, &hc->server->busy, HTTP_ACTIVE);
    return 0;
}

/* Reads a head from n bytes. Its length; 0: not all of it is there; -1: it was refused, and hc is leaving or gone. */
static int read_head(struct http_head *head, struct http_conn *hc, const char *bytes, size_t n)
{
    const struct http_limits *limits_ = &hc->server->limits;
    int got = http_parse_request(head, bytes, base_min(n, limits_->head));
    if (got == 0 && n >= limits_->head)
        got = HTTP_TOO_MANY;
    if (got < 0)
        answer(hc, http_parse_status(got));
    else if (got > 0 && head->content_length > 0 && (uint64_t)head->content_length > limits_->body)
        answer(hc, 413);
    else
        return got;
    return -1;
}

/* Adds n bytes to what was received. False: no memory, and hc is gone. */
static bool hold(struct http_conn *hc, const char *bytes, size_t n)
{
    if (n == 0 || buf_append(&hc->c.in, bytes, n) == 0)
        return true;
    close_conn(hc);
    return false;
}

/* The head is not complete: its time runs. */
static bool keep_heading(struct http_conn *hc)
{
    hc->searched = (uint32_t)buf_len(&hc->c.in);
    if (hc->state != HTTP_HEADING) {
        move(hc, &hc->server->idle, HTTP_HEADING);
        set_due(hc, hc->server->limits.heading);
    }
    return true;
}

static struct http_exchange *idle_worker(struct http_server *s)
{
    if (list_empty(&s->workers))
        return NULL;
    return container_of(s->workers.prev, struct http_exchange, waiter.link); /* the last to come: its memory is warm */
}

/* The head of what hc holds is x's. Its length; 0: not all of it is there; -1: hc is leaving or gone. */
static int take_held(struct http_exchange *x, struct http_conn *hc)
{
    struct buf *in = &hc->c.in;
    int length = read_head(&x->head, hc, buf_at(in), buf_len(in));
    if (length <= 0)
        return length;
    if (begin_exchange(x, hc, buf_at(in), (size_t)length) < 0) {
        close_conn(hc);
        return -1;
    }
    buf_consume(in, (size_t)length);
    return length;
}

/* Something is in `in`: is the head complete? False: hc waits for nothing more, or is gone. */
static bool serve_held(struct http_conn *hc)
{
    struct buf *in = &hc->c.in;
    if (!http_parse_has_end(buf_at(in), buf_len(in), hc->searched) && buf_len(in) < hc->server->limits.head)
        return keep_heading(hc);
    struct http_exchange *x = idle_worker(hc->server);
    if (!x) {
        move(hc, &hc->server->waiting, HTTP_WAITING);
        wake_keeper(hc->server);
        return false;
    }
    int length = take_held(x, hc);
    if (length > 0)
        sched_wake_waiter(&x->waiter, 0);
    return length == 0 && keep_heading(hc);
}

/* What was received lies in the scratch, and nothing in `in`. */
static bool serve_scratch(struct http_conn *hc, const char *bytes, size_t n)
{
    struct http_exchange *x = idle_worker(hc->server);
    if (!x)
        return hold(hc, bytes, n) && serve_held(hc);
    int length = read_head(&x->head, hc, bytes, n);
    if (length < 0)
        return false;
    if (length == 0)
        return hold(hc, bytes, n) && keep_heading(hc);
    if (!hold(hc, bytes + length, n - (size_t)length))
        return false;
    if (begin_exchange(x, hc, bytes, (size_t)length) < 0) {
        close_conn(hc);
        return false;
    }
    sched_wake_waiter(&x->waiter, 0);
    return false;
}

/* One read, and what comes of it. True: there may be more to read, and hc still waits for it. */
static bool serve_once(struct http_conn *hc)
{
    struct loop *l = hc->server->loop;
    ssize_t got = hc->c.stream.ops->read(&hc->c.stream, l->scratch, limits.scratch);
    if (got == -EAGAIN)
        return false;
    if (got <= 0) {
        close_conn(hc);
        return false;
    }
    bool drained = (size_t)got < hard_trim(limits.scratch) && !hc->c.stream.pd->hangup;
    hc->c.drained = drained;
    if (hc->state == HTTP_LEAVING)
        return !drained;
    if (buf_len(&hc->c.in) == 0)
        return serve_scratch(hc, l->scratch, (size_t)got) && !drained;
    if (buf_append(&hc->c.in, l->scratch, (size_t)got) < 0) {
        close_conn(hc);
        return false;
    }
    return serve_held(hc) && !drained;
}

/* Edges come once: goes on until the kernel has nothing more, or hc has a whole head. */
static void serve(struct http_conn *hc)
{
    uint64_t before = hc->server->closed;
    while (serve_once(hc))
        continue;
    if (hc->server->closed == before)
        netpoll_arm(hc->c.stream.pd, POLL_R);
}

/* The client has left, or its half of the connection: what works for it stops. */
static void lose_client(struct http_conn *hc)
{
    struct http_exchange *x = hc->exchange;
    if (x->gone)
        return;
    x->gone = true;
    sched_scope_cancel(x->scope);
}

static bool on_event(struct pollDesc *pd, uint32_t events)
{
    struct http_conn *hc = pd->owner;
    if (hc->state == HTTP_ACTIVE && (events & POLLER_HANGUP))
        lose_client(hc);
    if (!is_idle(hc))
        return false;
    if (events & (POLLER_READ | POLLER_HANGUP))
        serve(hc);
    return true;
}

/* ---- workers ---- */

static int attempt_take(struct task *t)
{
    struct http_exchange *x = t->wait.object;
    if (t->wait.result < 0)
        return t->wait.result;
    return x->conn ? 0 : http_server_take(x, t);
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

static const struct wait_kind kind_take = {
    .name = "http.take", .attempt = attempt_take, .push = push_taken, .undo = leave_workers};

/* The first of those that wait whose head is good. */
static bool take_waiting(struct http_exchange *x)
{
    struct http_server *s = x->server;
    while (!list_empty(&s->waiting)) {
        struct http_conn *hc = container_of(s->waiting.next, struct http_conn, link);
        if (take_held(x, hc) > 0)
            return true;
    }
    return false;
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

/* What was written leaves as far as the socket takes it. 0: all of it; -EAGAIN: a task must go on; or why not. */
int http_server_flush(struct http_exchange *x)
{
    struct stream *stream = &x->conn->c.stream;
    struct iovec iov = {.iov_base = (char *)buf_at(&x->out), .iov_len = buf_len(&x->out)};
    if (iov.iov_len == 0)
        return 0;
    ssize_t sent = stream->ops->write(stream, &iov, 1);
    if (sent < 0)
        return (int)sent;
    buf_consume(&x->out, (size_t)sent);
    return buf_len(&x->out) > 0 ? -EAGAIN : 0;
}

/* Takes hc away from x. */
static struct http_conn *detach(struct http_exchange *x)
{
    struct http_conn *hc = x->conn;
    hc->exchange = NULL;
    x->conn = NULL;
    x->serial++;
    x->out.start = x->out.end = 0;
    buf_fini(&x->trailer);
    sched_scope_renew(x->scope);
    return hc;
}

static void keep_small(struct buf *b)
{
    if (b->capacity > KEPT_BUFFER)
        buf_fini(b);
}

void http_server_release(struct http_exchange *x)
{
    if (!x->conn)
        return;
    bool goes_on = x->framing.phase == HTTP_SENT && x->framing.keep_alive && x->body.over && !x->gone &&
                   !x->server->closing && buf_len(&x->out) == 0;
    bool answered = x->framing.phase == HTTP_SENT && buf_len(&x->out) == 0;
    struct http_conn *hc = detach(x);
    keep_small(&x->out);
    keep_small(&x->bytes);
    if (!goes_on) {
        if (answered)
            leave(hc);
        else
            close_conn(hc);
        return;
    }
    move(hc, &hc->server->idle, HTTP_IDLE);
    set_due(hc, hc->server->limits.idle);
    if (buf_len(&hc->c.in) > 0 && !serve_held(hc))
        return;
    buf_release(&hc->c.in);
    if (netpoll_is_ready(hc->c.stream.pd, POLL_R) || !hc->c.drained || hc->c.stream.pd->hangup)
        serve(hc);
    else
        netpoll_arm(hc->c.stream.pd, POLL_R);
}

/* The next of pipelined requests, where it is here already: then the answers leave together. */
bool http_server_next(struct http_exchange *x)
{
    struct http_conn *hc = x->conn;
    bool goes_on = x->framing.phase == HTTP_SENT && x->framing.keep_alive && x->body.over && !x->gone;
    if (!goes_on || x->server->closing || buf_len(&hc->c.in) == 0 || buf_len(&x->out) >= FLUSH_AT)
        return false;
    int length = http_parse_request(&x->head, buf_at(&hc->c.in), base_min(buf_len(&hc->c.in), x->server->limits.head));
    if (length <= 0 || (x->head.content_length > 0 && (uint64_t)x->head.content_length > x->server->limits.body))
        return false; /* the long way round: what is here is sent first, then this is looked at again */
    buf_fini(&x->trailer);
    sched_scope_renew(x->scope);
    if (begin_exchange(x, hc, buf_at(&hc->c.in), (size_t)length) < 0)
        return false;
    buf_consume(&hc->c.in, (size_t)length);
    return true;
}

int http_server_take(struct http_exchange *x, struct task *t)
{
    must(!x->conn);
    return take_waiting(x) ? 0 : stand_by(x, t);
}

/* ---- opening and closing ---- */

int http_server_open(struct http_server *s, struct loop *loop, struct conn *listener, const struct http_face *face,
                     const struct http_limits *limits_)
{
    struct pollDesc *pd;
    int r = conn_poll(listener, &pd);
    if (r < 0)
        return r;
    s->loop = loop;
    s->face = face;
    s->limits = *limits_;
    s->pause.fire = on_pause;
    list_init(&s->waiting);
    list_init(&s->idle);
    list_init(&s->busy);
    list_init(&s->workers);
    conn_init(&s->listener, loop, &face->conn);
    conn_move(&s->listener, listener);
    netpoll_notify(s->listener.stream.pd, on_listener, s);
    timers_set(&loop->timers, &s->pause, loop->sched.now); /* who came before us is accepted in the next turn */
    return 0;
}

static void close_all(struct list *l)
{
    while (!list_empty(l))
        close_conn(container_of(l->next, struct http_conn, link));
}

static void dismiss_workers(struct http_server *s)
{
    while (!list_empty(&s->workers))
        sched_wake_waiter(container_of(s->workers.next, struct waiter, link), ERR_CLOSED);
}

void http_server_drain(struct http_server *s)
{
    if (s->closing)
        return;
    s->closing = true;
    timers_del(&s->loop->timers, &s->pause);
    conn_close(&s->listener);
    for (struct list *l = s->idle.next, *next; l != &s->idle; l = next) {
        next = l->next;
        struct http_conn *hc = container_of(l, struct http_conn, link);
        if (hc->state == HTTP_IDLE)
            close_conn(hc);
    }
    dismiss_workers(s);
    wake_keeper(s);
}

void http_server_close(struct http_server *s)
{
    if (!s->loop)
        return;
    http_server_drain(s);
    close_all(&s->idle);
    close_all(&s->waiting);
    for (struct list *l = s->busy.next; l != &s->busy; l = l->next) {
        struct http_conn *hc = container_of(l, struct http_conn, link);
        lose_client(hc);
    }
}

void http_server_fini(struct http_server *s)
{
    if (!s->loop)
        return;
    http_server_close(s);
    while (!list_empty(&s->busy)) {
        struct http_conn *hc = container_of(s->busy.next, struct http_conn, link);
        hc->exchange->conn = NULL;
        close_conn(hc);
    }
}

void http_server_hijack(struct http_exchange *x, struct conn *to)
{
    struct http_conn *hc = x->conn;
    netpoll_notify(hc->c.stream.pd, NULL, NULL);
    conn_move(to, &hc->c);
    (void)detach(x);
    close_conn(hc);
}

void http_server_drop(struct http_exchange *x)
{
    if (x->conn)
        close_conn(detach(x));
    buf_fini(&x->bytes);
    buf_fini(&x->out);
}
