/* SPDX-License-Identifier: MIT */
/* http_heads.c - the poller reports an idle connection by a call, not by waking a task: the connection joins `arrived`,
 * and one worker is woken for all of these. The worker reads a connection, answers, and takes the next, as long as its
 * handler does not wait. So a request is read and answered while what it touches is in the processor's caches, and most
 * requests wake no worker. A worker that leaves connections behind wakes another one, in case its handler waits.
 *
 * Bytes go straight from the loop's scratch into the worker's exchange; a connection's own buffer is for incomplete
 * heads, for what follows a head, and for what came while all workers were busy. */
#include "http/http_heads.h"

#include "base/hard.h"
#include "http/h1_exchange.h"

#include <errno.h>

/* Reads a head from n bytes. Returns its length; 0: it is incomplete; -1: it was refused, and hc is no longer ours. */
static int read_head(struct http_head *head, struct http_conn *hc, const char *bytes, size_t n)
{
    const struct http_limits *most = &hc->server->limits;
    int got = h1_parse_request(head, bytes, base_min(n, most->head));
    if (got == 0 && n >= most->head)
        got = h1_parse_overlong(bytes, most->head);
    int status = got < 0 ? h1_parse_status(got) : got > 0 ? http_limits_refusal(most, head) : 0;
    if (status == 0)
        return got;
    http_conn_answer(hc, status, bytes, n);
    return -1;
}

/* What to do with a connection after its bytes were looked at: read more; stop reading; nothing, it is no longer
 * ours. */
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

/* Gives x the request that hc holds. Returns the head's length; 0: it is incomplete; -1: hc is no longer ours. */
static int take_held(struct http_exchange *x, struct http_conn *hc)
{
    struct buf *in = &hc->c.in;
    int length = read_head(&x->head, hc, buf_at(in), buf_len(in));
    if (length <= 0)
        return length;
    if (h1_exchange_open(x, hc, buf_at(in), (size_t)length) < 0) {
        http_conn_close(hc);
        return -1;
    }
    buf_consume(in, (size_t)length);
    return length;
}

/* Something is in `in`. If the head is complete, x takes the request; if x is NULL, it waits for another worker. */
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
        x->wire->watch(x);
    return length > 0 ? SERVE_ENOUGH : length == 0 ? keep_heading(hc) : SERVE_OVER;
}

/* What was received is in the scratch, and `in` is empty. */
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
    if (h1_exchange_open(x, hc, bytes, (size_t)length) < 0) {
        http_conn_close(hc);
        return SERVE_OVER;
    }
    x->wire->watch(x);
    return SERVE_ENOUGH;
}

/* Reads once, and serves what has come. */
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

/* The poller reports an edge once: goes on until the kernel has nothing more, or hc has a whole head. */
void http_heads_serve(struct http_conn *hc, struct http_exchange *x)
{
    hc->c.stream.again = POLL_R;
    enum serving r = buf_len(&hc->c.in) > 0 ? serve_held(hc, x) : SERVE_MORE;
    if (r == SERVE_MORE && !http_conn_has_news(hc))
        r = SERVE_ENOUGH;
    while (r == SERVE_MORE)
        r = serve_once(hc, x);
    if (r == SERVE_OVER)
        return;
    http_conn_arm(hc);
    if (hc->state == HTTP_IDLE && !http_conn_may_ask(hc))
        http_conn_close(hc);
    else if (hc->state == HTTP_IDLE || hc->state == HTTP_HEADING)
        http_conn_settle(hc);
}

/* All workers wait for something else: whole heads wait for those that the keeper starts. */
void http_heads_look(struct late *late)
{
    struct http_server *s = container_of(late, struct http_server, later);
    while (!s->stirred && !list_empty(&s->arrived))
        http_heads_serve(http_conn_next_arrived(s), NULL);
}

/* Something has come for hc, which is IDLE or HEADING. */
static void arrive(struct http_conn *hc)
{
    hc->c.drained = false;
    http_conn_join_arrived(hc);
    http_conn_stir(hc->server);
}

/* ---- events ---- */

static bool on_event(struct pollDesc *pd, uint32_t events)
{
    struct http_conn *hc = pd->owner;
    if (events & POLLER_LOST)
        stream_disown(&hc->c.stream);
    if (hc->state == HTTP_ACTIVE)
        h1_exchange_hear(hc->exchange, events);
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

/* A connection's first request has most often arrived already. */
int http_heads_begin(struct http_server *s, const struct stream *stream)
{
    struct http_conn *hc = http_conn_open(s, stream, on_event);
    bool opened = hc;
    if (opened && http_conn_handshake(hc))
        arrive(hc);
    return opened ? 0 : -ENOMEM;
}
