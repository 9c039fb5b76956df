/* SPDX-License-Identifier: MIT */
/* tls_bio.h - what is between OpenSSL and the stream below.
 *
 * OpenSSL reads the stream itself. What it writes goes to `out`, which takes everything: so a record that it has made
 * is never asked for again, several leave with one call, and it never waits for room. */
#ifndef MOONPARK_TLS_BIO_H
#define MOONPARK_TLS_BIO_H

#include "base/buf.h"
#include "net/stream.h"

struct bio_st;

enum {
    TLS_BIO_FIRST = 8,
    TLS_BIO_BUDGET = 1 << 16, /* of a step: more than a record */
};

struct tls_bio {
    struct stream *below;
    struct buf out;            /* records on their way */
    char first[TLS_BIO_FIRST]; /* bytes that came */
    uint8_t first_n;
    uint8_t again; /* the last read found nothing: which side it waits for */
    int budget;    /* how many bytes may still be read in this step */
    bool paused;   /* the last read found that it was spent */
    bool cut;      /* the stream below has ended */
    int failure;   /* of a read below, or -ENOMEM: why OpenSSL failed */
    int broken;    /* of a write below; it stays */
};

/* A BIO over b; NULL: no memory. */
struct bio_st *tls_bio_new(struct tls_bio *b);

/* Lets `out` leave. 0: all has left; -EAGAIN: below.again says what it waits for; or `broken`. */
int tls_bio_flush(struct tls_bio *b);

/* Does what came begin as a request of HTTP does? */
bool tls_bio_is_http(const struct tls_bio *b);

/* Drops what has come: bytes that nobody has read make a close reset the connection, and what we have said last would
 * be lost. */
void tls_bio_drain(struct tls_bio *b);

/* Replaces `out` by these bytes. */
void tls_bio_say(struct tls_bio *b, const char *bytes, size_t n);

#endif
