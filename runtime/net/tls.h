/* SPDX-License-Identifier: MIT */
/* tls.h - TLS as a stream over a stream, by OpenSSL; both roles.
 *
 * Its end is close_notify; without one a read fails with ERR_UNEXPECTED_EOF. close says close_notify and does not wait
 * for the peer's; close_write says it and goes on reading.
 * What failed stays failed, with the same code. */
#ifndef MOONPARK_TLS_H
#define MOONPARK_TLS_H

#include "net/stream.h"
#include "net/tls_context.h"

/* Over each stream of a listener (tls_layer_hold keeps it), or over one stream that is open. */
struct tls_layer {
    struct stream_layer layer; /* first */
    uint32_t refs;
    struct tls_context *context; /* it has one of its references */
    const char *name;            /* of a client: whom the certificate must be for, as tls_name_read has it; or NULL */
};

/* For a listener: counted; its first reference is the caller's. NULL: no memory. */
struct tls_layer *tls_layer_new(struct tls_context *context);
void tls_layer_unref(struct tls_layer *l);

/* For conn_cover: to be used at once, and not freed. */
struct tls_layer tls_layer_once(struct tls_context *context, const char *name);

enum { TLS_ALPN = 255 }; /* bytes of the longest protocol's name */

/* A client's stream, whose handshake has not begun, offers these protocols if its context has none. 0 or -ENOMEM. */
int tls_offer(struct stream *s, const char *wire, size_t n);

/* A server's stream, whose handshake has not begun, answers that protocol: n bytes; 0: none. */
void tls_choose(struct stream *s, const char *protocol, size_t n);

/* The peer's certificate is verified as OpenSSL's mode says, what is wrong is noted, and the handshake goes on. */
void tls_go_on(struct stream *s, int mode);

/* The i-th thing (0 ...) that was noted: at which depth of the chain, and OpenSSL's code. False: there are no more. */
bool tls_trouble(const struct stream *s, int i, int *depth, int *code);

struct tls_info {
    const char *version, *cipher; /* "TLSv1.3"; OpenSSL's name */
    char server_name[TLS_NAME];   /* what the client asked for; or "" */
    char alpn[TLS_ALPN];          /* alpn_n bytes */
    unsigned alpn_n;
    bool resumed, verified;
};

/* OpenSSL's own of a TLS stream, as long as that is open; else NULL. */
struct ssl_st *tls_ssl(const struct stream *s);

/* Is s TLS? */
bool tls_is(const struct stream *s);

/* About a TLS stream whose handshake is over; else false. */
bool tls_info(const struct stream *s, struct tls_info *info);

/* The peer's certificate in DER: how many bytes, of which at most n are put to `to`; 0: it gave none; or -ENOMEM. */
int tls_peer_certificate(const struct stream *s, unsigned char *to, size_t n);

struct tls_stats {
    uint64_t open;       /* connections now */
    uint64_t handshakes; /* that succeeded */
    uint64_t resumed;    /* of those */
    uint64_t failed;
};
void tls_stats(struct tls_stats *stats); /* of this process */

#endif
