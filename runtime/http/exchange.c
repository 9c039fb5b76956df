/* SPDX-License-Identifier: MIT */
/* exchange.c - short bodies are copied into `out` after their head; long ones are written from where they are.
 *
 * A write that ended in the middle leaves a gap: nothing may follow it. */
#include "http/exchange.h"

#include "base/errors.h"
#include "base/sys_move.h"
#include "http/http_body.h"
#include "http/http_interim.h"
#include "net/conn_move.h"
#include "net/conn_write.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* ---- a request ---- */

int exchange_open(struct http_exchange *x, const struct exchange_wire *wire, struct http_conn *hc, const char *bytes,
                  size_t length)
{
    const struct http_limits *most = &hc->server->limits;
    x->bytes.start = x->bytes.end = 0;
    if (buf_append(&x->bytes, bytes, length) < 0)
        return -ENOMEM;
    if (most->request > 0 && sched_scope_deadline(x->scope, clock_add(http_conn_now(hc->server), most->request)) < 0)
        return -ENOMEM;
    x->wire = wire;
    x->conn = hc;
    x->serial++;
    x->relayed = x->measured = false;
    x->gone = x->returned = x->overdue = x->curtailed = x->spoilt = x->discarding = false;
    x->failure = 0;
    x->body_out = x->tail = 0;
    x->continued = !x->head.expect || x->head.minor == 0;
    x->limit = most->body;
    x->framing = (struct http_out){.phase = HTTP_UNSENT};
    hc->exchange = x;
    hc->requests++;
    hc->server->served++;
    http_conn_move(hc, &hc->server->busy, HTTP_ACTIVE);
    return 0;
}

struct http_conn *exchange_close(struct http_exchange *x)
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

void exchange_lose(struct http_exchange *x)
{
    x->gone = true;
    if (x->scope && !x->returned)
        sched_scope_cancel(x->scope);
}

bool exchange_is_gone(const struct http_exchange *x) { return x->gone || x->scope->owner->canceled; }

bool exchange_was_late(const struct http_exchange *x)
{
    return x->overdue || (!x->returned && x->scope->canceled && !x->gone);
}

bool exchange_was_curtailed(const struct http_exchange *x)
{
    return x->curtailed || x->scope->owner->canceled || (!x->returned && x->scope->canceled && x->scope->delivered);
}

int exchange_may_hijack(struct http_exchange *x)
{
    if (x->framing.phase != HTTP_UNSENT && !x->framing.tunnel)
        return EXCHANGE_BEGUN;
    if (x->conn->c.closed)
        return ERR_CLOSED;
    if (x->failure)
        return x->failure;
    if (http_conn_in_use(x->conn) || x->conn->c.pinned) /* a finalizer may ask while a string is made of its bytes */
        return -EBUSY;
    int r = exchange_flush(x);
    if (r < 0 && r != -EAGAIN)
        exchange_cut(x, r, 0);
    return r;
}

/* ---- its body ---- */

bool exchange_is_short(const struct http_exchange *x)
{
    if (x->spoilt || x->body.held || x->body.total > x->limit)
        return false;
    return x->body.over || (x->continued && x->body.left <= HTTP_UNREAD_MAX);
}

static int begin_read(struct http_exchange *x, struct task *t, size_t most)
{
    *OPERATION(t, struct http_reading) = (struct http_reading){.exchange = x, .limit = most};
    if (x->body.failure) /* it counts even if the client has left meanwhile */
        return x->body.failure;
    int r = x->body.over ? 0 : http_interim_continue(x);
    return r < 0 ? r : EXCHANGE_WAITS;
}

int exchange_read(struct http_exchange *x, struct task *t, size_t most)
{
    if (exchange_is_read(x)) /* without a wait, so also after the client has left */
        return ERR_EOF;
    return begin_read(x, t, most);
}

int exchange_read_whole(struct http_exchange *x, struct task *t, size_t most) { return begin_read(x, t, most); }

/* Is x still on the connection that the operation was on? A task that a handler left behind may be too late. */
static bool is_on(const struct http_exchange *x, const struct task *t)
{
    return x->conn && &x->conn->c == t->wait.object && !x->conn->c.closed;
}

void exchange_has_read(struct task *t)
{
    struct http_exchange *x = OPERATION(t, struct http_reading)->exchange;
    int r = t->wait.result;
    if (!is_on(x, t))
        return;
    x->spoilt |= x->body.failure || r == ERR_TIMEOUT;
    x->spoilt |= r == ERR_TOO_LONG && x->body.trailing; /* its end is not looked for */
    x->body.held &= r < 0;
    x->wire->watch(x);
}

/* ---- the head of a response ---- */

int exchange_begin(struct http_exchange *x, int status, int64_t length, const char *type, size_t n, bool dated)
{
    x->before = buf_len(&x->out);
    x->measured = length >= 0;
    if (type && !h1_parse_is_value(type, n))
        return EXCHANGE_BAD_VALUE;
    if (x->server->closing || !exchange_is_short(x))
        x->peer.keep_alive = false; /* the rest of the body will not be read */
    int r = x->wire->begin(x, status, length, dated ? NULL : http_conn_date(x->server));
    x->framing.phase = HTTP_UNSENT; /* until nothing can fail */
    return r < 0 || !type ? r : x->wire->field(x, "Content-Type", 12, type, n);
}

int exchange_field(struct http_exchange *x, const char *name, size_t name_length, const char *value, size_t n)
{
    if (!h1_parse_is_token(name, name_length))
        return EXCHANGE_BAD_NAME;
    if (!value || !h1_parse_is_value(value, n))
        return EXCHANGE_BAD_VALUE;
    enum http_id id = h1_parse_id(name, name_length);
    if (id == HTTP_CONTENT_LENGTH || id == HTTP_TRANSFER_ENCODING)
        return EXCHANGE_NOT_YOURS;
    if (id == HTTP_CONNECTION && n == 5 && strncasecmp(value, "close", 5) == 0) {
        if (!x->framing.keep_alive)
            return 0; /* it is there already */
        x->framing.keep_alive = false; /* from now on it counts as ours */
    }
    return x->wire->field(x, name, name_length, value, n);
}

int exchange_lose_head(struct http_exchange *x, int r)
{
    exchange_drop_head(x);
    exchange_fail(x, r);
    return r;
}

/* ---- its body ---- */

/* The parameters of writing `out` and then a string. */
struct writing {
    struct conn_writing writing;
    struct http_exchange *exchange;
    const char *bytes, *after; /* the string, and what follows it */
    size_t n;                  /* bytes of the string */
};

/* How much of `out` belongs to a write: what was there when it began. */
static size_t held_of(struct task *t)
{
    const struct writing *w = OPERATION(t, struct writing);
    return t->op.length - w->n - strlen(w->after);
}

static int gather(struct task *t, struct iovec *iov, int max)
{
    const struct writing *w = OPERATION(t, struct writing);
    struct http_exchange *x = w->exchange;
    size_t held = held_of(t), skip = t->op.total, after = strlen(w->after);
    int n = 0;
    (void)max;
    if (skip < held)
        iov[n++] = (struct iovec){.iov_base = (char *)buf_at(&x->out) + skip, .iov_len = held - skip};
    skip = skip > held ? skip - held : 0;
    if (w->n > skip)
        iov[n++] = (struct iovec){.iov_base = (char *)w->bytes + skip, .iov_len = w->n - skip};
    skip = skip > w->n ? skip - w->n : 0;
    if (after > skip)
        iov[n++] = (struct iovec){.iov_base = (char *)w->after + skip, .iov_len = after - skip};
    return n;
}

/* Writes what is in `out`, then n bytes and what follows them. */
static int write_out(struct http_exchange *x, struct task *t, const char *bytes, size_t n, const char *after)
{
    int r = n == 0 ? exchange_flush(x) : -EAGAIN;
    if (r == -EBUSY || r == 0)
        return r;
    *OPERATION(t, struct writing) = (struct writing){
        .writing.gather = gather, .exchange = x, .bytes = bytes, .after = after, .n = n};
    t->op.length = buf_len(&x->out) + n + strlen(after);
    t->op.total = 0;
    return EXCHANGE_WAITS;
}

/* op.total bytes were sent: of `out` first, then of the string. */
static void account(struct http_exchange *x, struct task *t, int r)
{
    struct operation *op = &t->op;
    struct writing *w = OPERATION(t, struct writing);
    size_t held = held_of(t), beyond = op->total > held ? op->total - held : 0;
    buf_consume(&x->out, base_min(op->total, held));
    if (r < 0)
        exchange_cut(x, r, w->n - base_min(beyond, w->n));
    op->length = w->n = 0; /* count only once: the push may be called again */
    w->after = "";
    if (buf_len(&x->out) > 0)
        exchange_flush_later(x); /* what was added meanwhile */
}

int exchange_written(struct task *t)
{
    struct http_exchange *x = OPERATION(t, struct writing)->exchange;
    int r = t->wait.result;
    if (is_on(x, t))
        account(x, t, r);
    return r < 0 ? r : 0;
}

int exchange_send(struct http_exchange *x, struct task *t) { return write_out(x, t, NULL, 0, ""); }

/* Appends n bytes of the body to `out`, or, with `bytes` NULL, only what precedes them. On failure `out` is as it was,
 * and the response has failed, except for HTTP_TOO_LONG. */
static int copy(struct http_exchange *x, const char *bytes, size_t n, struct exchange_piece *piece)
{
    size_t before = buf_len(&x->out), tail = 0;
    uint64_t total = x->framing.total;
    int r = x->wire->data(x, n, piece);
    bool copied = r == 0 && !piece->muted && bytes;
    if (copied) {
        tail = strlen(piece->after);
        r = buf_append(&x->out, bytes, n);
        r = r < 0 || tail == 0 ? r : buf_append(&x->out, piece->after, tail);
    }
    if (r == HTTP_TOO_LONG)
        return r;
    if (r < 0) {
        x->out.end = x->out.start + before;
        x->framing.total = total;
        exchange_fail(x, r);
        return r;
    }
    if (before == 0)
        x->body_out = x->tail = 0; /* those were sent */
    x->body_out += copied ? n : 0;
    x->tail = copied ? tail : x->tail + buf_len(&x->out) - before;
    return 0;
}

int exchange_data(struct http_exchange *x, struct task *t, const char *bytes, size_t n)
{
    struct exchange_piece piece;
    int r = exchange_is_busy(x) ? -EBUSY : copy(x, n <= EXCHANGE_COPIED ? bytes : NULL, n, &piece);
    if (r < 0)
        return r;
    return n <= EXCHANGE_COPIED || piece.muted ? exchange_send(x, t) : write_out(x, t, bytes, n, piece.after);
}

int exchange_lead(struct http_exchange *x, const char *bytes, size_t n)
{
    struct exchange_piece piece;
    return copy(x, bytes, n, &piece);
}

int exchange_whole(struct http_exchange *x, struct task *t, const char *bytes, size_t n)
{
    x->wire->whole(x, n);
    x->body_out = x->tail = 0;
    if (exchange_would_wait(x, n) && !x->framing.mute)
        return write_out(x, t, bytes, n, "");
    if (!x->framing.mute) {
        x->body_out = n;
        if (buf_append(&x->out, bytes, n) < 0) {
            x->framing.total = 0;
            exchange_fail(x, -ENOMEM);
            return -ENOMEM;
        }
    }
    exchange_flush_later(x);
    return 0;
}

int exchange_finish(struct http_exchange *x)
{
    size_t before = buf_len(&x->out);
    int r = x->wire->finish(x);
    x->tail += buf_len(&x->out) - before;
    exchange_flush_later(x);
    if (r < 0)
        exchange_fail(x, r);
    return r;
}

/* ---- a file ---- */

/* Sends `out` with the hint that more follows. -EAGAIN: the rest would have to wait. */
static int send_ahead(struct http_exchange *x)
{
    struct stream *s = &x->conn->c.stream;
    size_t n = buf_len(&x->out);
    if (n == 0 || !s->ops->plain)
        return n == 0 ? 0 : exchange_flush(x);
    ssize_t sent = sys_send_more(s->fd, buf_at(&x->out), n);
    if (sent < 0)
        return (int)sent;
    buf_consume(&x->out, (size_t)sent);
    return buf_len(&x->out) > 0 ? -EAGAIN : 0;
}

int exchange_file(struct http_exchange *x, struct task *t, struct conn_file *f, uint64_t offset, size_t length)
{
    struct exchange_piece piece;
    if (exchange_is_busy(x))
        return -EBUSY;
    int r = x->framing.mute ? 0 : send_ahead(x);
    if (r == -EAGAIN)
        return r;
    r = r < 0 ? r : x->wire->data(x, length, &piece);
    if (r < 0 && r != HTTP_TOO_LONG)
        exchange_cut(x, r, 0);
    if (r < 0 || piece.muted)
        return r;
    f->offset = offset;
    f->length = length;
    f->measured = true;
    *OPERATION(t, struct conn_filing) = (struct conn_filing){.file = f};
    t->op.length = length;
    t->op.total = 0;
    return EXCHANGE_WAITS;
}

/* The client must notice what is missing: the connection is cut. */
int exchange_filed(struct task *t)
{
    struct conn *c = t->wait.object;
    struct http_exchange *x = c->closed ? NULL : http_conn_of(c)->exchange;
    int r = t->wait.result;
    if (r >= 0)
        return 0;
    if (x)
        exchange_cut(x, r, t->op.length - t->op.total);
    t->op.length = t->op.total; /* count only once: the push may be called again */
    return r;
}

/* ---- what was written ---- */

int exchange_flush(struct http_exchange *x)
{
    struct conn *c = &x->conn->c;
    if (c->side[POLL_W].holder)
        return -EBUSY; /* a task is in the middle of a write */
    while (buf_len(&x->out) > 0) {
        struct iovec iov = {.iov_base = (char *)buf_at(&x->out), .iov_len = buf_len(&x->out)};
        ssize_t sent = c->stream.ops->write(&c->stream, &iov, 1);
        if (sent < 0)
            return (int)sent;
        buf_consume(&x->out, (size_t)sent);
    }
    return 0;
}

void exchange_push(struct http_exchange *x)
{
    if (!x->conn || x->conn->c.closed || x->conn->c.side[POLL_W].holder)
        return;
    int r = exchange_flush(x);
    if (r == -EAGAIN)
        http_conn_arm(x->conn);
    if (r == 0 || r == -EAGAIN)
        return;
    exchange_cut(x, r, 0);
    exchange_lose(x);
}

/* ---- broken is broken ---- */

/* The bytes of the body in `out`, without what frames their end. */
static size_t held_back(const struct http_exchange *x)
{
    size_t n = buf_len(&x->out);
    return n > x->tail ? base_min(n - x->tail, x->body_out) : 0;
}

void exchange_cut(struct http_exchange *x, int r, size_t unsent)
{
    exchange_fail(x, r);
    x->framing.total -= unsent + held_back(x);
    x->out.start = x->out.end = 0;
}

void exchange_abort(struct http_exchange *x)
{
    exchange_fail(x, !x->returned && x->scope->canceled ? ERR_CANCELED : ERR_CLOSED);
}
