/* SPDX-License-Identifier: MIT */
/* tls_context.h - what the TLS connections of a listener, or those that are dialled, have in common.
 *
 * l_tls.c makes contexts, tls.c puts connections over streams by them.
 *
 *   a setup      certificates, trust, limits: filled in once, then only used. A reload makes a new one
 *   a context    has one setup at a time. Connections that are open keep theirs
 *
 * Both are counted: who keeps a pointer calls ref, and unref once. */
#ifndef MOONPARK_TLS_CONTEXT_H
#define MOONPARK_TLS_CONTEXT_H

#include "loop/loop.h"
#include "net/tls_name.h"
#include "net/tls_session.h"
#include "net/tls_ticket.h"

/* How names are compared with certificates: the subject's CN is no name of a host (RFC 9525), and "*" is a label. */
#define TLS_NAME_CHECK (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

struct ssl_st;
struct ssl_ctx_st;
struct tls_setup;

/* What a context's callbacks need of a connection: it is first in a connection's state. */
enum { TLS_TROUBLES = 8 }; /* that are noted; further ones are not */

struct tls_peer {
    struct tls_context *context; /* these three by tls_context_connection */
    struct tls_setup *setup;     /* what it began with */
    struct ssl_st *ssl;
    bool (*may_go_on)(struct tls_peer *p); /* with the costly part of the handshake; false: it calls again later */
    const char *name; /* whom the peer's certificate must be for; or NULL */
    int refused;      /* why its certificate was refused, or ours cannot be used; or 0 */
    struct list asking;          /* while somebody is asked for a certificate */
    uint64_t question;           /* its number; 0: nobody was asked */
    struct tls_setup *answer;    /* the certificate that was chosen; or NULL */
    void (*answered)(struct tls_peer *p); /* it may go on */
    bool told, known; /* the owner knows the question; the name is one of the setup's */
    bool challenge;   /* the client offers the protocol "acme-tls/1" and no other (RFC 8737) */
    bool chosen;      /* a server's: `protocol` is what it answers, and not one of the setup's */
    uint8_t protocol[256]; /* with its length before it; 0: none */
    struct tls_trouble {
        int depth, code; /* X509_V_ERR_* of the certificate that deep in the chain */
    } troubles[TLS_TROUBLES];
    int trouble_count; /* what was found by a verification that goes on */
};

/* A server answers that protocol: n bytes, fewer than 256; 0: none. */
void tls_peer_choose(struct tls_peer *p, const char *protocol, size_t n);

/* Verifies the peer's certificate as OpenSSL's mode says; what is wrong is noted, and the handshake goes on. */
void tls_peer_go_on(struct tls_peer *p, int mode);

struct tls_context {
    uint32_t refs;
    bool accepts; /* connections are the server's */
    struct tls_setup *setup;
    struct tls_tickets tickets;   /* of a server */
    struct tls_sessions sessions; /* of a client */
    struct list asking;   /* connections that wait for a certificate, by tls_peer.asking */
    uint64_t questions;
    struct loop *loop;    /* NULL: nobody chooses certificates for names that no setup has */
    struct late ask;      /* run for each new question: it takes them with tls_context_question */
    int asker;            /* the owner's */
    void (*ended)(struct tls_context *context); /* it is about to be freed; or NULL */
};

/* Returns NULL: no memory. accepts: for servers. It has Mozilla's intermediate settings. */
struct tls_setup *tls_setup_new(bool accepts);
struct tls_setup *tls_setup_ref(struct tls_setup *setup);
struct ssl_ctx_st *tls_setup_ssl(struct tls_setup *setup); /* OpenSSL's own, as long as the setup is there */
void tls_setup_unref(struct tls_setup *setup);

/* These return 0, or a negative code whose text says what is wrong with what was given. */
int tls_setup_certificate(struct tls_setup *setup, const char *chain, size_t n, const char *key, size_t key_n);
int tls_setup_trust(struct tls_setup *setup, const char *pem, size_t n); /* authorities that count beside others */
int tls_setup_trust_system(struct tls_setup *setup);
int tls_setup_ciphers(struct tls_setup *setup, const char *list); /* of TLS 1.2 */
int tls_setup_suites(struct tls_setup *setup, const char *list);  /* of TLS 1.3 */
int tls_setup_min_version(struct tls_setup *setup, int minor);    /* 2 or 3: TLS 1.2 or 1.3 */
int tls_setup_max_version(struct tls_setup *setup, int minor);
int tls_setup_alpn(struct tls_setup *setup, const char *wire, size_t n); /* each with its length before it */
bool tls_setup_has_alpn(const struct tls_setup *setup);

enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_IF_GIVEN, TLS_VERIFY };
int tls_setup_ocsp(struct tls_setup *setup, const char *der, size_t n); /* the response that is stapled */
void tls_setup_tickets(struct tls_setup *setup, bool on); /* may sessions be resumed? On by default */
bool tls_setup_gives_tickets(const struct tls_setup *setup);
void tls_setup_verify(struct tls_setup *setup, enum tls_verify verify); /* the peer; clients: TLS_VERIFY */
enum tls_verify tls_setup_verifies(const struct tls_setup *setup);

/* A connection of that name ("www.example", "*.example") has the other setup's certificate. 0, or -ENOMEM. */
int tls_setup_name(struct tls_setup *setup, const char *name, struct tls_setup *other);
/* The same for all names in the other's certificate. */
int tls_setup_names(struct tls_setup *setup, struct tls_setup *other);

/* Takes the setup over. Returns NULL: no memory, with setup still the caller's. */
struct tls_context *tls_context_new(struct tls_setup *setup);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* The next connections have this setup, which it takes over. What was verified by the setup of before counts no more:
 * sessions cannot be resumed. */
void tls_context_use(struct tls_context *context, struct tls_setup *setup);

/* A connection, with a zeroed `peer` for the callbacks. False: no memory. */
bool tls_context_connection(struct tls_context *context, struct tls_peer *peer);
void tls_context_leave(struct tls_peer *peer); /* frees all that peer has of it */

/* Which certificate is wanted? */
struct tls_question {
    uint64_t number;
    bool challenge; /* an authority asks for its challenge */
    char name[TLS_NAME];
};

/* The next question that nobody was told; false: there is none. */
bool tls_context_question(struct tls_context *context, struct tls_question *q);
void tls_context_told(struct tls_context *context, uint64_t question);

/* The certificate is that of `setup`; NULL: the first one. Nothing if the connection is gone. */
void tls_context_answer(struct tls_context *context, uint64_t question, struct tls_setup *setup);

#endif
