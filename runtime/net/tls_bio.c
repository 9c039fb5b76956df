/* SPDX-License-Identifier: MIT */
/* tls_bio.c - a BIO of our own kind, whose data is a struct tls_bio. */
#include "net/tls_bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <string.h>

enum {
    DRAIN = 65536,
    FULL = 1 << 18, /* bytes in `out`: more than a handshake or a batch of records has */
};

static void note_first(struct tls_bio *b, const char *bytes, size_t n)
{
    n = base_min(n, (size_t)(TLS_BIO_FIRST - b->first_n));
    memcpy(b->first + b->first_n, bytes, n);
    b->first_n += (uint8_t)n;
}

/* A peer may ask for answers (KeyUpdate) without end: it gets no more of them than it reads, and OpenSSL, which goes on
 * until it has a byte for us, pauses. */
static bool may_read(struct tls_bio *b)
{
    if (buf_len(&b->out) > FULL) {
        int r = tls_bio_flush(b);
        b->again = b->below->again;
        if (r == -EAGAIN)
            return false;
        buf_fini(&b->out); /* broken: nobody gets them */
    }
    b->again = POLL_R;
    b->paused = b->budget <= 0;
    return !b->paused;
}

static int bio_read(BIO *bio, char *to, int n)
{
    struct tls_bio *b = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!may_read(b)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t got = b->below->ops->read(b->below, to, (size_t)n);
    if (got > 0) {
        b->budget -= (int)got;
        if (b->first_n < TLS_BIO_FIRST)
            note_first(b, to, (size_t)got);
        return (int)got;
    }
    if (got == -EAGAIN) {
        b->again = b->below->again;
        BIO_set_retry_read(bio);
    } else {
        b->cut = got == 0;
        b->failure = (int)got;
    }
    return got == 0 ? 0 : -1;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
    struct tls_bio *b = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (buf_append(&b->out, bytes, (size_t)n) == 0)
        return n;
    b->failure = -ENOMEM;
    return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    (void)bio, (void)number, (void)p;
    return command == BIO_CTRL_FLUSH;
}

/* One for the process, made once. */
static const BIO_METHOD *method(void)
{
    static BIO_METHOD *made;
    if (made)
        return made;
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "moonpark");
    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl))
        return made = m;
    BIO_meth_free(m);
    return NULL;
}

struct bio_st *tls_bio_new(struct tls_bio *b)
{
    BIO *bio = method() ? BIO_new(method()) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, b);
    BIO_set_init(bio, 1);
    return bio;
}

int tls_bio_flush(struct tls_bio *b)
{
    if (b->broken)
        return b->broken;
    while (buf_len(&b->out) > 0) {
        struct iovec iov = {.iov_base = (char *)buf_at(&b->out), .iov_len = buf_len(&b->out)};
        ssize_t sent = b->below->ops->write(b->below, &iov, 1);
        if (sent == -EAGAIN)
            return -EAGAIN;
        if (sent < 0)
            return b->broken = (int)sent;
        buf_consume(&b->out, (size_t)sent);
    }
    buf_release(&b->out);
    return 0;
}

bool tls_bio_is_http(const struct tls_bio *b)
{
    static const char *const methods[] = {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ",
                                          "CONNECT "};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        size_t n = base_min(strlen(methods[i]), b->first_n);
        if (n >= 4 && memcmp(b->first, methods[i], n) == 0)
            return true;
    }
    return false;
}

void tls_bio_drain(struct tls_bio *b)
{
    char unread[1024];
    ssize_t got = 1;
    for (size_t n = 0; n < DRAIN && got > 0; n += got > 0 ? (size_t)got : 0)
        got = b->below->ops->read(b->below, unread, sizeof unread);
}

void tls_bio_say(struct tls_bio *b, const char *bytes, size_t n)
{
    buf_fini(&b->out);
    (void)buf_append(&b->out, bytes, n);
}
