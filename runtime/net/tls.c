/* SPDX-License-Identifier: MIT */
/* tls.c - OpenSSL works on the stream below by tls_bio.c: it waits for bytes to read, and never for room. What it has
 * made leaves at the end of each step, as far as there is room. */
#include "net/tls.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/tls_bio.h"
#include "net/tls_error.h"
#include "net/tls_vector.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { BATCH = 4 * TLS_RECORD };
#define HANDSHAKE_TIME (10 * NS_PER_SECOND)

struct tls {
    struct stream_over over; /* first: the contract's */
    struct tls_peer peer;
    SSL *ssl; /* peer.ssl */
    struct tls_bio bio;
    struct timer deadline; /* of the handshake */
    struct ration ration;  /* its costly part waits for its turn */
    char *name;            /* whom the certificate must be for; or NULL */
    int failure;           /* stays; of reading and writing */
    bool accepts, started, shaken, has_read, has_written, ended, shut, silent;
    bool halves; /* the stream below is half-closed once close_notify has left */
    bool worded; /* the handshake has failed, and we have said why */
};

static struct tls_stats stats;
void tls_stats(struct tls_stats *to) { *to = stats; }

static int again(struct stream *s, int side)
{
    s->again = (uint8_t)side;
    return -EAGAIN;
}

/* ---- what leaves ---- */

/* 0: all has left. */
static int flush(struct tls *t, struct stream *s)
{
    struct stream *below = &t->over.below;
    int r = tls_bio_flush(&t->bio);
    if (r == -EAGAIN)
        s->again = below->again;
    if (r == 0 && t->halves) { /* the peer's system reports the end, too: its server may not read just now */
        t->halves = false;
        (void)below->ops->close_write(below);
    }
    return r;
}

/* What a reader has said leaves, unless a writer waits to see it leave. -EAGAIN: it waits for room. */
static int flush_for_reader(struct tls *t, struct stream *s)
{
    return buf_len(&t->bio.out) > 0 && s->taken == 0 ? flush(t, s) : 0;
}

/* ---- failures ---- */

static void answer_http(struct tls *t)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n"
                               "Connection: close\r\n\r\nThis port speaks TLS: the address needs https://\n";
    tls_bio_drain(&t->bio);
    tls_bio_say(&t->bio, text, sizeof text - 1);
}

static int fail(struct tls *t, int code)
{
    t->failure = code;
    timers_del(&t->over.loop->timers, &t->deadline);
    list_del(&t->ration.link);
    stats.failed += !t->shaken;
    stream_stir(&t->over, POLLER_READ | POLLER_WRITE);
    return code;
}

/* OpenSSL has failed: an alert that says so may be in `out`. */
static int fail_with(struct tls *t, struct stream *s)
{
    int code = tls_error_of(t->shaken);
    if (t->peer.refused < 0 && !t->shaken)
        code = t->peer.refused;
    else if (t->bio.failure < 0)
        code = t->bio.failure;
    else if (t->bio.cut)
        code = ERR_UNEXPECTED_EOF;
    else if (t->accepts && !t->shaken && tls_bio_is_http(&t->bio)) {
        answer_http(t);
        code = errors_code("plain HTTP on a TLS port");
    }
    (void)fail(t, code);
    t->worded = !t->shaken && buf_len(&t->bio.out) > 0;
    (void)flush_for_reader(t, s);
    return code;
}

/* Before an OpenSSL function that may read. */
static void begin(struct tls *t)
{
    t->bio.budget = TLS_BIO_BUDGET;
    t->bio.paused = false;
    ERR_clear_error();
}

/* Why an OpenSSL function returned r <= 0. 0: the end. */
static int result(struct tls *t, struct stream *s, int r)
{
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        if (t->bio.paused)
            stream_stir(&t->over, POLLER_READ | POLLER_WRITE);
        return again(s, t->bio.again);
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
    case SSL_ERROR_WANT_X509_LOOKUP:
        return again(s, POLL_R); /* stream_stir comes */
    case SSL_ERROR_ZERO_RETURN:
        t->ended = true;
        return 0;
    default:
        return fail_with(t, s);
    }
}

/* ---- the handshake ---- */

static void has_turn(struct ration *r)
{
    stream_stir(&container_of(r, struct tls, ration)->over, POLLER_READ | POLLER_WRITE);
}

static void answered(struct tls_peer *p)
{
    stream_stir(&container_of(p, struct tls, peer)->over, POLLER_READ | POLLER_WRITE);
}

static bool may_go_on(struct tls_peer *p)
{
    struct tls *t = container_of(p, struct tls, peer);
    return loop_ration(t->over.loop, &t->ration);
}

static void too_late(struct timer *timer)
{
    struct tls *t = container_of(timer, struct tls, deadline);
    (void)fail(t, errors_code("handshake timeout"));
}

static int start(struct tls *t)
{
    t->started = true;
    t->deadline.fire = too_late;
    return timers_set(&t->over.loop->timers, &t->deadline, clock_add(loop_now(t->over.loop), HANDSHAKE_TIME));
}

/* Before TLS 1.3 OpenSSL does not report a session that was resumed, which may have a new ticket. */
static void keep_session(struct tls *t)
{
    if (t->accepts || !t->name || !SSL_session_reused(t->ssl) || SSL_version(t->ssl) >= TLS1_3_VERSION)
        return;
    SSL_SESSION *session = SSL_get1_session(t->ssl);
    if (session && !tls_session_keep(&t->peer.context->sessions, t->name, session))
        SSL_SESSION_free(session);
}

static void shaken(struct tls *t)
{
    t->shaken = true;
    timers_del(&t->over.loop->timers, &t->deadline);
    stats.handshakes++;
    stats.resumed += SSL_session_reused(t->ssl) != 0;
    keep_session(t);
    stream_stir(&t->over, POLLER_READ | POLLER_WRITE); /* who waits on the other side may go on */
}

static int shake(struct stream *s)
{
    struct tls *t = s->own;
    if (t->failure || t->shaken)
        return t->failure;
    int r = t->started ? 0 : start(t);
    if (r < 0)
        return fail(t, r);
    begin(t);
    r = SSL_do_handshake(t->ssl);
    if (r == 1)
        shaken(t);
    r = r == 1 ? 0 : result(t, s, r);
    if (r == 0 && !t->shaken)
        r = fail(t, ERR_UNEXPECTED_EOF);
    int side = s->again, left = flush_for_reader(t, s);
    if (r == -EAGAIN && left < 0 && left != -EAGAIN)
        return fail(t, left); /* else what has come can still be read */
    if (r == -EAGAIN)
        return again(s, left == -EAGAIN ? s->again : side);
    return r;
}

/* The last of our words has left, too: nobody may call again. */
static int tls_handshake(struct stream *s)
{
    int r = shake(s);
    return r == 0 && flush_for_reader(s->own, s) == -EAGAIN ? -EAGAIN : r;
}

/* ---- bytes ---- */

/* After a read that found nothing: what was said may wait for room, and then either side's readiness counts. */
static int nothing(struct tls *t, struct stream *s, int r)
{
    int side = s->again;
    if (flush_for_reader(t, s) == -EAGAIN && r == -EAGAIN)
        return -EAGAIN;
    return r == -EAGAIN ? again(s, side) : r;
}

static ssize_t tls_read(struct stream *s, void *bytes, size_t n)
{
    struct tls *t = s->own;
    int r = shake(s);
    if (r < 0 || t->ended)
        return r;
    begin(t);
    r = SSL_read(t->ssl, bytes, (int)base_min(n, INT_MAX));
    if (r > 0) {
        t->has_read = true;
        (void)flush_for_reader(t, s);
        return r;
    }
    return nothing(t, s, result(t, s, r));
}

/* The bytes of the last write leave. They count now, unless they were counted when it was given up. */
static ssize_t settle(struct tls *t, struct stream *s)
{
    int r = flush(t, s);
    if (r < 0)
        return r;
    size_t n = s->taken;
    s->taken = 0;
    return (ssize_t)n;
}

/* A session ticket goes with the first bytes that the server writes: one that went alone would meet clients that have
 * written, closed, and never read, and the reset that answers it would cost what they have written. */
static void give_ticket(struct tls *t)
{
    if (t->has_written || !t->accepts)
        return;
    t->has_written = true;
    if (SSL_version(t->ssl) == TLS1_3_VERSION && tls_setup_gives_tickets(t->peer.setup))
        (void)SSL_new_session_ticket(t->ssl);
}

/* Records of what is left, until a batch is full. Returns how many bytes are in `out` so; or why not. */
static ssize_t make_records(struct tls *t, struct stream *s, struct tls_vector *rest)
{
    char joined[TLS_RECORD];
    const char *bytes;
    ssize_t made = 0;
    if (rest->count > 0)
        give_ticket(t);
    for (size_t n; made < BATCH && (n = tls_vector_next(rest, &bytes, joined)) > 0; made += (ssize_t)n) {
        begin(t);
        int r = SSL_write(t->ssl, bytes, (int)n);
        if (r <= 0) {
            r = result(t, s, r);
            return r == 0 ? -EPIPE : r;
        }
        must((size_t)r == n);
        tls_vector_skip(rest, n);
    }
    return made;
}

static ssize_t tls_write(struct stream *s, const struct iovec *iov, int count)
{
    struct tls *t = s->own;
    struct tls_vector rest = {.iov = iov, .count = count};
    int r = shake(s);
    if (r < 0)
        return r;
    ssize_t done = settle(t, s);
    if (done >= 0 && t->shut)
        return -EPIPE;
    for (tls_vector_skip(&rest, done < 0 ? 0 : (size_t)done); done >= 0;) {
        ssize_t made = make_records(t, s, &rest);
        if (made == 0)
            return done;
        if (made > 0)
            s->taken = (uint32_t)made;
        ssize_t sent = made < 0 ? made : settle(t, s);
        if (sent < 0)
            return done > 0 ? done : sent;
        done += sent;
    }
    return done;
}

/* ---- questions ---- */

/* Would a read find something? 1, 0 (the end), or what read returns. */
static int peek(struct stream *s)
{
    struct tls *t = s->own;
    char byte;
    int r = shake(s);
    if (r < 0 || t->ended)
        return r;
    begin(t);
    r = SSL_peek(t->ssl, &byte, 1);
    return r > 0 ? 1 : nothing(t, s, result(t, s, r));
}

static int tls_ready(struct stream *s, int side)
{
    struct tls *t = s->own;
    struct stream *below = &t->over.below;
    int r = side == POLL_R ? peek(s) : shake(s);
    if (r == 0 && side == POLL_W)
        r = flush(t, s);
    if (r == -EAGAIN)
        return 0;
    if (r < 0 || side == POLL_R)
        return 1;
    r = below->ops->ready(below, side);
    s->again = POLL_W;
    return r;
}

static bool tls_has_ended(struct stream *s)
{
    struct tls *t = s->own;
    int r = peek(s);
    if (r == 1)
        stream_stir(&t->over, POLLER_READ);
    return r != 1 && r != -EAGAIN;
}

/* ---- the end ---- */

static void say_end(struct tls *t)
{
    t->shut = true;
    if (t->failure || t->bio.broken || t->silent)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

static int tls_close_write(struct stream *s)
{
    struct tls *t = s->own;
    if (t->failure || t->bio.broken)
        return t->failure ? t->failure : t->bio.broken;
    int r = shake(s);
    if (r < 0)
        return r == -EAGAIN ? -ENOTCONN : r;
    if (!t->shut) {
        say_end(t);
        t->halves = true;
    }
    r = flush(t, s);
    return r == -EAGAIN ? 0 : r;
}

static ssize_t tls_linger(struct stream *s, void *bytes, size_t n)
{
    struct tls *t = s->own;
    struct stream *below = &t->over.below;
    if (!t->worded || t->silent)
        return 0;
    t->halves = t->halves || !t->shut;
    t->shut = true;
    int r = flush(t, s);
    if (r < 0)
        return r;
    ssize_t got = below->ops->read(below, bytes, n);
    if (got == -EAGAIN)
        s->again = below->again;
    return got;
}

static void tls_will_reset(struct stream *s)
{
    struct tls *t = s->own;
    t->silent = true;
    stream_will_reset(&t->over.below);
}

static void release(struct tls *t)
{
    stats.open--;
    tls_context_leave(&t->peer);
    buf_fini(&t->bio.out);
    sys_free(t->name);
    sys_free(t);
}

/* Says the end, if there is room for it; else the peer sees a cut. */
static void tls_close(struct stream *s)
{
    struct tls *t = s->own;
    struct stream *below = &t->over.below;
    if (t->shaken && !t->shut)
        say_end(t);
    t->halves = false;
    if (!t->silent)
        (void)flush(t, s);
    if (t->shaken && !t->accepts && !t->has_read && !t->silent)
        tls_bio_drain(&t->bio); /* a server's session tickets */
    if (t->failure && !t->shaken && t->accepts && !t->silent)
        tls_bio_drain(&t->bio); /* what a refused client has sent behind: its close would take our alert with it */
    timers_del(&t->over.loop->timers, &t->deadline);
    list_del(&t->over.late.link);
    list_del(&t->ration.link);
    below->ops->close(below);
    release(t);
    s->own = NULL;
}

#define TLS_OPS(name_) \
    {.name = name_, .covers = true, .secure = true, .read = tls_read, .write = tls_write, .ready = tls_ready, \
     .handshake = tls_handshake, .linger = tls_linger, .has_ended = tls_has_ended, .will_reset = tls_will_reset, \
     .close_write = tls_close_write, .close = tls_close}

static const struct stream_ops tls_ops = TLS_OPS("tls");
static const struct stream_ops tls_insecure = TLS_OPS("insecure tls"); /* a client that does not verify */

/* ---- layers ---- */

/* Whom a client wants to speak to: said to the server, and held against its certificate. */
static bool set_name(struct tls *t, const char *name)
{
    char read[TLS_NAME];
    enum tls_name_kind kind = tls_name_read(read, name, strlen(name));
    must(kind != TLS_NAME_NONE); /* OpenSSL would take an empty name for any */
    size_t n = strlen(name) + 1;
    t->name = sys_alloc(n);
    if (!t->name)
        return false;
    t->peer.name = memcpy(t->name, name, n);
    SSL_SESSION *known = tls_session_take(&t->peer.context->sessions, name);
    if (known)
        (void)SSL_set_session(t->ssl, known);
    SSL_SESSION_free(known);
    X509_VERIFY_PARAM_set_hostflags(SSL_get0_param(t->ssl), TLS_NAME_CHECK);
    if (kind == TLS_NAME_ADDRESS)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name);
    return SSL_set1_host(t->ssl, name) && SSL_set_tlsext_host_name(t->ssl, name);
}

static bool fill_in(struct tls *t, const struct tls_layer *l)
{
    t->bio.below = &t->over.below;
    BIO *bio = tls_context_connection(l->context, &t->peer) ? tls_bio_new(&t->bio) : NULL;
    if (!bio)
        return false;
    t->ssl = t->peer.ssl;
    SSL_set_bio(t->ssl, bio, bio);
    return !l->name || set_name(t, l->name);
}

static struct stream_over *make(const struct stream_layer *layer, bool accepts)
{
    const struct tls_layer *l = container_of(layer, struct tls_layer, layer);
    must(accepts == l->context->accepts);
    struct tls *t = sys_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->accepts = accepts;
    t->peer.may_go_on = may_go_on;
    t->peer.answered = answered;
    t->ration.turn = has_turn;
    list_init(&t->ration.link);
    stats.open++;
    if (fill_in(t, l))
        return &t->over;
    ERR_clear_error();
    release(t);
    return NULL;
}

static void hold(const struct stream_layer *layer, int by)
{
    struct tls_layer *l = container_of((struct stream_layer *)layer, struct tls_layer, layer);
    if (by > 0)
        l->refs++;
    else
        tls_layer_unref(l);
}

struct tls_layer tls_layer_once(struct tls_context *context, const char *name)
{
    bool blind = !context->accepts && tls_setup_verifies(context->setup) == TLS_VERIFY_NONE;
    return (struct tls_layer){.layer = {.ops = blind ? &tls_insecure : &tls_ops, .make = make, .hold = hold},
                              .context = context, .name = name};
}

struct tls_layer *tls_layer_new(struct tls_context *context)
{
    struct tls_layer *l = sys_alloc(sizeof *l);
    if (!l)
        return NULL;
    *l = tls_layer_once(tls_context_ref(context), NULL);
    l->refs = 1;
    return l;
}

void tls_layer_unref(struct tls_layer *l)
{
    if (--l->refs > 0)
        return;
    tls_context_unref(l->context);
    sys_free(l);
}

/* ---- about a connection ---- */

bool tls_is(const struct stream *s) { return s->ops == &tls_ops || s->ops == &tls_insecure; }

struct ssl_st *tls_ssl(const struct stream *s) { return tls_is(s) ? ((const struct tls *)s->own)->ssl : NULL; }

int tls_offer(struct stream *s, const char *wire, size_t n)
{
    const struct tls *t = s->own;
    must(tls_is(s) && !t->accepts && !t->started);
    if (tls_setup_has_alpn(t->peer.setup))
        return 0;
    int r = SSL_set_alpn_protos(t->ssl, (const unsigned char *)wire, (unsigned)n);
    ERR_clear_error();
    return r == 0 ? 0 : -ENOMEM;
}

void tls_choose(struct stream *s, const char *protocol, size_t n)
{
    struct tls *t = s->own;
    must(tls_is(s) && t->accepts && !t->started);
    tls_peer_choose(&t->peer, protocol, n);
}

void tls_go_on(struct stream *s, int mode)
{
    must(tls_is(s));
    tls_peer_go_on(&((struct tls *)s->own)->peer, mode);
}

bool tls_trouble(const struct stream *s, int i, int *depth, int *code)
{
    const struct tls_peer *p = tls_is(s) ? &((const struct tls *)s->own)->peer : NULL;
    if (p && i < p->trouble_count)
        *depth = p->troubles[i].depth, *code = p->troubles[i].code;
    return p && i < p->trouble_count;
}

bool tls_info(const struct stream *s, struct tls_info *info)
{
    const struct tls *t = tls_is(s) ? s->own : NULL;
    if (!t || !t->shaken)
        return false;
    const unsigned char *alpn;
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    *info = (struct tls_info){.version = SSL_get_version(t->ssl), .cipher = SSL_get_cipher_name(t->ssl),
                              .resumed = SSL_session_reused(t->ssl)};
    if (name && tls_name_read(info->server_name, name, strlen(name)) != TLS_NAME_HOST)
        info->server_name[0] = '\0';
    SSL_get0_alpn_selected(t->ssl, &alpn, &info->alpn_n);
    if (info->alpn_n > 0)
        memcpy(info->alpn, alpn, info->alpn_n);
    info->verified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE && SSL_get0_peer_certificate(t->ssl) != NULL;
    return true;
}

int tls_peer_certificate(const struct stream *s, unsigned char *to, size_t n)
{
    const struct tls *t = tls_is(s) ? s->own : NULL;
    X509 *certificate = t && t->shaken ? SSL_get0_peer_certificate(t->ssl) : NULL;
    if (!certificate)
        return 0;
    unsigned char *der = NULL;
    int length = i2d_X509(certificate, &der);
    ERR_clear_error();
    if (length < 0)
        return -ENOMEM;
    if (n > 0)
        memcpy(to, der, base_min(n, (size_t)length));
    OPENSSL_free(der);
    return length;
}
