/* SPDX-License-Identifier: MIT */
/* http_server.c - readiness of an idle connection comes as a call, not as a task that wakes up: it joins those that
 * have `arrived`, and one worker is woken for all of them. It reads a connection, answers, and takes the next, as long
 * as its handler does not wait: so a request is read and answered while what it touches is in the processor's caches,
 * and most of them wake nobody. A worker that leaves some behind wakes another one, in case it will wait.
 *
 * Bytes go straight from the loop's scratch into the worker's exchange; a connection's own buffer is for what came too
 * early or too late, or while all workers were busy. */
#include "http/http_server.h"

#include "base/errors.h"
#include "base/hard.h"

#include <errno.h>

enum { FLUSH_AT = 65536, KEPT_BUFFER = 16384 };

static const int64_t REST_TIME = 2 * NS_PER_SECOND; /* for a body that no handler wanted */

/* ---- a request begins ---- */

static void lose_client(struct http_exchange *x)
{
    x->gone = true;
    if (x->scope && !x->over)
        sched_scope_cancel(x->scope);
}

/* A hangup was reported: is it the client's end, with nothing before it? Or all of the client's, a reset for one: then
 * what is before it does not matter. */
static void note_end(struct http_exchange *x)
{
    struct conn *c = &x->conn->c;
    bool is_next = x->spoilt || (x->body.over && buf_len(&c->in) == 0);
    if (!x->gone && ((is_next && stream_has_ended(&c->stream)) || stream_has_lost(&c->stream)))
        lose_client(x);
}

/* Its end is seen from now on, and where it has come already, now. */
static void watch_client(struct http_exchange *x)
{
    if (x->conn->c.stream.pd->hangup)
        note_end(x);
    else
        netpoll_arm_hangup(x->conn->c.stream.pd);
}

void http_server_has_read(struct http_exchange *x)
{
    if (x->conn && !x->conn->c.closed)
        watch_client(x);
}

/* The request is x's; `length` bytes of head are at `bytes`. 0 or -ENOMEM. */
static int begin_exchange(struct http_exchange *x, struct http_conn *hc, const char *bytes, size_t length)
{
    const struct http_limits *most = &hc->server->limits;
    x->bytes.start = x->bytes.end = 0;
    if (buf_append(&x->bytes, bytes, length) < 0)
        return -ENOMEM;
    if (most->request > 0 && sched_scope_deadline(x->scope, clock_add(http_conn_now(hc->server), most->request)) < 0)
        return -ENOMEM;
    x->conn = hc;
    x->serial++;
    x->relayed = false;
    x->gone = x->over = x->late_answer = x->curtailed = x->spoilt = x->resting = false;
    x->failure = 0;
    x->inside = 0;
    x->continued = !x->head.expect || x->head.minor == 0;
    x->limit = most->body;
    x->framing = (struct http_out){.phase = HTTP_UNSENT};
    h1_request_body(&x->body, &x->head);
    h1_peer_of(&x->peer, &x->head, bytes);
    hc->exchange = x;
    hc->requests++;
    hc->searched = 0;
    hc->server->served++;
    x->peer.keep_alive &= !hc->server->closing && (most->requests == 0 || hc->requests < most->requests);
    http_conn_move(hc, &hc->server->busy, HTTP_ACTIVE);
    return 0;
}

/* Reads a head from n bytes. Its length; 0: not all of it is there; -1: it was refused, and hc is no longer ours. */
static int read_head(struct http_head *head, struct http_conn *hc, const char *bytes, size_t n)
{
    const struct http_limits *most = &hc->server->limits;
    int got = h1_parse_request(head, bytes, base_min(n, most->head));
    if (got == 0 && n >= most->head)
        got = h1_parse_overlong(bytes, most->head);
    int status = got < 0 ? h1_parse_status(got) : got > 0 ? http_conn_refusal(most, head) : 0;
    if (status == 0)
        return got;
    http_conn_answer(hc, status, bytes, n);
    return -1;
}

/* ---- reading heads ---- */

/* What has become of a connection whose bytes were looked at: it waits for more; it does not, a worker has it or is to
 * have it; it is no longer ours. */
enum serving { SERVE_MORE, SERVE_ENOUGH, SERVE_OVER };

/* Adds n bytes to what was received. False: no memory, and hc is gone. */
static bool hold(struct http_conn *hc, const char *bytes, size_t n)
{
    if (n == 0 || buf_append(&hc->c.in, bytes, n) == 0)
        return true;
    http_conn_close(hc);
    return false;
}

/* The head is not complete. */
static enum serving keep_heading(struct http_conn *hc)
{
    hc->searched = (uint32_t)buf_len(&hc->c.in);
    http_conn_begin_head(hc);
    return SERVE_MORE;
}

/* The head of what hc holds is x's. Its length; 0: not all of it is there; -1: hc is no longer ours. */
static int take_held(struct http_exchange *x, struct http_conn *hc)
{
    struct buf *in = &hc->c.in;
    int length = read_head(&x->head, hc, buf_at(in), buf_len(in));
    if (length <= 0)
        return length;
    if (begin_exchange(x, hc, buf_at(in), (size_t)length) < 0) {
        http_conn_close(hc);
        return -1;
    }
    buf_consume(in, (size_t)length);
    return length;
}

/* Something is in `in`: is the head complete? x takes the request; where it is NULL, another worker will. */
static enum serving serve_held(struct http_conn *hc, struct http_exchange *x)
{
    struct buf *in = &hc->c.in;
    if (!h1_parse_has_end(buf_at(in), buf_len(in), hc->searched) && buf_len(in) < hc->server->limits.head)
        return keep_heading(hc);
    if (!x) {
        http_conn_begin_head(hc); /* the end may be that of empty lines before it */
        http_conn_move(hc, &hc->server->waiting, HTTP_WAITING);
        http_conn_tell_keeper(hc->server);
        return SERVE_ENOUGH;
    }
    int length = take_held(x, hc);
    if (length > 0)
        watch_client(x);
    return length > 0 ? SERVE_ENOUGH : length == 0 ? keep_heading(hc) : SERVE_OVER;
}

/* What was received lies in the scratch, and nothing in `in`. */
static enum serving serve_scratch(struct http_conn *hc, struct http_exchange *x, const char *bytes, size_t n)
{
    if (!x)
        return hold(hc, bytes, n) ? serve_held(hc, NULL) : SERVE_OVER;
    int length = read_head(&x->head, hc, bytes, n);
    if (length < 0)
        return SERVE_OVER;
    if (length == 0)
        return hold(hc, bytes, n) ? keep_heading(hc) : SERVE_OVER;
    if (!hold(hc, bytes + length, n - (size_t)length))
        return SERVE_OVER;
    if (begin_exchange(x, hc, bytes, (size_t)length) < 0) {
        http_conn_close(hc);
        return SERVE_OVER;
    }
    watch_client(x);
    return SERVE_ENOUGH;
}

/* One read, and what comes of it. */
static enum serving serve_once(struct http_conn *hc, struct http_exchange *x)
{
    struct loop *l = hc->server->loop;
    ssize_t got = hc->c.stream.ops->read(&hc->c.stream, l->scratch, limits.scratch);
    if (got == -EAGAIN)
        return SERVE_ENOUGH;
    if (got <= 0) {
        http_conn_close(hc);
        return SERVE_OVER;
    }
    bool short_read = hc->c.stream.ops->drains && (size_t)got < hard_trim(limits.scratch);
    hc->c.drained = short_read && !hc->c.stream.pd->hangup;
    if (buf_len(&hc->c.in) > 0 && !hold(hc, l->scratch, (size_t)got))
        return SERVE_OVER;
    bool drained = hc->c.drained;
    enum serving r =
        buf_len(&hc->c.in) > 0 ? serve_held(hc, x) : serve_scratch(hc, x, l->scratch, (size_t)got);
    return r == SERVE_MORE && drained ? SERVE_ENOUGH : r;
}

/* May the kernel have something that was not read yet? */
static bool has_news(const struct http_conn *hc)
{
    return !hc->c.drained || hc->c.stream.pd->hangup || netpoll_is_ready(hc->c.stream.pd, POLL_R);
}

/* hc is IDLE or HEADING, and in no list. Edges come once: goes on until the kernel has nothing more, or hc has a whole
 * head. */
static void serve(struct http_conn *hc, struct http_exchange *x)
{
    hc->c.stream.again = POLL_R;
    enum serving r = buf_len(&hc->c.in) > 0 ? serve_held(hc, x) : SERVE_MORE;
    if (r == SERVE_MORE && !has_news(hc))
        r = SERVE_ENOUGH;
    while (r == SERVE_MORE)
        r = serve_once(hc, x);
    if (r == SERVE_OVER)
        return;
    http_conn_arm(hc);
    if (hc->state == HTTP_IDLE && hc->server->closing)
        http_conn_close(hc);
    else if (hc->state == HTTP_IDLE || hc->state == HTTP_HEADING)
        http_conn_rest(hc);
}

/* hc is IDLE or HEADING, and is to be looked at. */
static void join_arrived(struct http_conn *hc)
{
    hc->arrived = true;
    http_conn_move(hc, &hc->server->arrived, hc->state);
}

static struct http_conn *next_arrived(struct http_server *s)
{
    struct http_conn *hc = container_of(list_pop(&s->arrived), struct http_conn, link);
    hc->arrived = false;
    return hc;
}

/* Somebody will look at those that have arrived: a worker that is woken for that, the last to stand by, for its memory
 * is warm. Where none is idle, one of those that run may come by; before the loop blocks, we do it. */
static void stir(struct http_server *s)
{
    if (s->stirred || list_empty(&s->arrived))
        return;
    s->stirred = !list_empty(&s->workers);
    if (s->stirred)
        sched_wake_waiter(container_of(s->workers.prev, struct waiter, link), 0);
    else
        loop_late(s->loop, &s->later);
}

/* All workers wait for something else: whole heads wait for those that the keeper starts. */
void http_server_look(struct late *late)
{
    struct http_server *s = container_of(late, struct http_server, later);
    while (!s->stirred && !list_empty(&s->arrived))
        serve(next_arrived(s), NULL);
}

/* Something has come for hc, which is IDLE or HEADING. */
static void arrive(struct http_conn *hc)
{
    hc->c.drained = false;
    join_arrived(hc);
    stir(hc->server);
}

/* ---- what was written ---- */

int http_server_flush(struct http_exchange *x)
{
    struct conn *c = &x->conn->c;
    if (c->side[POLL_W].holder)
        return -EBUSY; /* somebody is in the middle of it */
    while (buf_len(&x->out) > 0) {
        struct iovec iov = {.iov_base = (char *)buf_at(&x->out), .iov_len = buf_len(&x->out)};
        ssize_t sent = c->stream.ops->write(&c->stream, &iov, 1);
        if (sent < 0)
            return (int)sent;
        buf_consume(&x->out, (size_t)sent);
    }
    return 0;
}

/* The worker waits for something else: what it has written leaves without it. */
static void push_out(struct http_exchange *x)
{
    if (!x->conn || x->conn->c.closed || x->conn->c.side[POLL_W].holder)
        return;
    int r = http_server_flush(x);
    if (r == -EAGAIN)
        http_conn_arm(x->conn);
    if (r == 0 || r == -EAGAIN)
        return;
    http_exchange_cut(x, r, 0);
    lose_client(x);
}

static void on_late(struct late *late) { push_out(container_of(late, struct http_exchange, late)); }

/* ---- events ---- */

static void hear_of_active(struct http_exchange *x, uint32_t events)
{
    if (events & POLLER_HANGUP)
        note_end(x);
    else if (events & POLLER_READ)
        netpoll_arm_hangup(x->conn->c.stream.pd);
    uint32_t either = x->conn->c.stream.ops->covers ? POLLER_READ | POLLER_WRITE : POLLER_WRITE;
    if (events & either && buf_len(&x->out) > 0)
        push_out(x);
}

static bool on_event(struct pollDesc *pd, uint32_t events)
{
    struct http_conn *hc = pd->owner;
    if (events & POLLER_LOST)
        stream_disown(&hc->c.stream);
    if (hc->state == HTTP_ACTIVE)
        hear_of_active(hc->exchange, events);
    if (hc->state == HTTP_ACTIVE || hc->state == HTTP_WAITING)
        return false;
    if (!http_conn_is_meant(hc, events))
        return true;
    if (hc->state == HTTP_LEAVING)
        http_conn_discard(hc);
    else if (hc->state != HTTP_OPENING || http_conn_handshake(hc))
        arrive(hc);
    return true;
}

/* A connection's first request is most often there already. */
int http_server_begin(struct http_server *s, const struct stream *stream)
{
    struct http_conn *hc = http_conn_open(s, stream, on_event);
    bool opened = hc;
    if (opened && http_conn_handshake(hc))
        arrive(hc);
    return opened ? 0 : -ENOMEM;
}

/* ---- workers ---- */

int http_server_join(struct http_server *s, struct http_exchange *x, struct task *t)
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
    x->server->stirred = false; /* should another one have been meant, it is no harm */
    if (t->wait.result == 0)
        return http_server_take(x, t);
    stir(x->server);
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

/* The first whose head is good, of those that wait and those that have arrived. */
static bool find_request(struct http_exchange *x)
{
    struct http_server *s = x->server;
    while (!x->conn && !list_empty(&s->waiting)) {
        struct http_conn *hc = container_of(list_pop(&s->waiting), struct http_conn, link);
        hc->state = HTTP_HEADING;
        serve(hc, x);
    }
    while (!x->conn && !list_empty(&s->arrived))
        serve(next_arrived(s), x);
    stir(s);
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

int http_server_take(struct http_exchange *x, struct task *t)
{
    must(!x->conn);
    if (sched_canceled(t)) { /* by its handler: it cannot wait for anything, and would fail whoever it served */
        stir(x->server);
        return ERR_CANCELED;
    }
    return find_request(x) ? 0 : stand_by(x, t);
}

/* ---- after a request ---- */

void http_server_over(struct http_exchange *x)
{
    if (x->over)
        return;
    x->over = true;
    x->gone |= x->scope->owner->canceled; /* nor is anybody left here who would answer */
    x->late_answer = x->scope->canceled && !x->gone;
    x->curtailed = (x->scope->canceled && x->scope->delivered) || x->scope->owner->canceled;
    sched_scope_renew(x->scope);
}

/* May another request follow on the connection, as far as the response goes? */
static bool keeps_alive(const struct http_exchange *x)
{
    return x->framing.phase == HTTP_SENT && x->framing.keep_alive && !x->gone && !x->failure && !x->server->closing &&
           !x->body.held && !x->conn->c.closed && !http_conn_in_use(x->conn);
}

enum http_left http_server_left(struct http_exchange *x)
{
    if (x->resting)
        sched_scope_renew(x->scope);
    if (x->failure || x->conn->c.closed || http_conn_in_use(x->conn))
        return HTTP_LEFT_NOTHING;
    if (x->framing.phase != HTTP_SENT)
        return HTTP_LEFT_ANSWER;
    bool wanted = keeps_alive(x) && !x->body.over && !x->resting && http_body_is_short(x);
    if (!wanted || sched_scope_deadline(x->scope, clock_add(http_conn_now(x->server), REST_TIME)) < 0)
        return HTTP_LEFT_NOTHING;
    x->resting = true;
    return HTTP_LEFT_REST;
}

/* Takes hc away from x. */
static struct http_conn *detach(struct http_exchange *x)
{
    struct http_conn *hc = x->conn;
    hc->exchange = NULL;
    x->conn = NULL;
    x->serial++;
    x->out.start = x->out.end = 0;
    list_del(&x->late.link);
    buf_fini(&x->trailer);
    if (x->scope)
        sched_scope_renew(x->scope);
    return hc;
}

static void keep_small(struct buf *b)
{
    if (b->capacity > KEPT_BUFFER)
        buf_fini(b);
}

/* The connection is closed at once. Where the response ends with it, an end that is none must not look like one. */
static void sever(struct http_exchange *x)
{
    bool looks_whole = x->framing.phase != HTTP_UNSENT && x->framing.framing == HTTP_BY_END;
    struct http_conn *hc = detach(x);
    if (looks_whole && !hc->c.closed)
        stream_will_reset(&hc->c.stream);
    http_conn_close(hc);
}

/* It waits for its next request. Where that is here already, the worker that has let go of hc will find it. */
static void go_idle(struct http_conn *hc)
{
    hc->state = HTTP_IDLE;
    http_conn_due(hc, hc->server->limits.idle);
    if (buf_len(&hc->c.in) > 0 || has_news(hc)) {
        join_arrived(hc);
        return;
    }
    hc->c.stream.again = POLL_R;
    http_conn_rest(hc);
    netpoll_arm(hc->c.stream.pd, POLL_R);
}

void http_server_release(struct http_exchange *x)
{
    if (!x->conn)
        return;
    if (x->failure && !x->conn->c.closed)
        (void)http_server_flush(x); /* earlier answers */
    bool answered = x->framing.phase == HTTP_SENT && !x->failure && buf_len(&x->out) == 0 && !x->conn->c.closed &&
                    !http_conn_in_use(x->conn);
    if (answered && keeps_alive(x) && x->body.over)
        go_idle(detach(x));
    else if (answered)
        http_conn_leave(detach(x));
    else
        sever(x);
    keep_small(&x->out);
    keep_small(&x->bytes);
}

/* x has no next request: its spans are of bytes that it does not hold, and who describes it must not look there. */
static bool forget_head(struct http_exchange *x)
{
    x->head.method = x->head.target = (struct http_span){0};
    return false;
}

bool http_server_next(struct http_exchange *x)
{
    struct http_conn *hc = x->conn;
    struct buf *in = &hc->c.in;
    const struct http_limits *most = &x->server->limits;
    if (!keeps_alive(x) || !x->body.over || buf_len(in) == 0 || buf_len(&x->out) >= FLUSH_AT)
        return false;
    int length = h1_parse_request(&x->head, buf_at(in), base_min(buf_len(in), most->head));
    if (length <= 0 || http_conn_refusal(most, &x->head) > 0)
        return forget_head(x); /* the long way round: what is here is sent first, then this is looked at again */
    buf_fini(&x->trailer);
    if (begin_exchange(x, hc, buf_at(in), (size_t)length) < 0)
        return forget_head(x);
    buf_consume(in, (size_t)length);
    watch_client(x);
    return true;
}

void http_server_hijack(struct http_exchange *x, struct conn *to)
{
    struct http_conn *hc = x->conn;
    netpoll_notify(hc->c.stream.pd, NULL, NULL);
    conn_move(to, &hc->c);
    http_conn_close(detach(x));
}

void http_server_drop(struct http_exchange *x)
{
    if (x->conn)
        sever(x);
    if (x->scope)
        x->scope->handle = NULL; /* it ends with its task */
    x->scope = NULL;
    list_del(&x->late.link);
    buf_fini(&x->bytes);
    buf_fini(&x->out);
    buf_fini(&x->trailer);
}

/* ---- the end ---- */

/* What has arrived, and is still IDLE when it was looked at, is closed by serve. */
void http_server_last_look(struct http_server *s)
{
    for (struct list *l = s->idle.next, *next; l != &s->idle; l = next) {
        next = l->next;
        struct http_conn *hc = container_of(l, struct http_conn, link);
        if (hc->state == HTTP_OPENING) {
            http_conn_close(hc);
        } else if (hc->state == HTTP_IDLE) {
            hc->c.drained = false;
            join_arrived(hc);
        }
    }
    stir(s);
}

void http_server_cancel(struct http_server *s)
{
    for (struct list *l = s->busy.next; l != &s->busy; l = l->next) {
        struct http_exchange *x = container_of(l, struct http_conn, link)->exchange;
        lose_client(x);
        if (x->scope)
            sched_scope_cancel(x->scope); /* even what is over and only waits for the client to read */
    }
}

void http_server_cut(struct http_server *s)
{
    while (!list_empty(&s->busy))
        sever(container_of(s->busy.next, struct http_conn, link)->exchange);
}
