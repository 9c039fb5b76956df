/* SPDX-License-Identifier: MIT */
/* tls_context.c - a setup is an SSL_CTX and the setups of other names. Ciphers and groups are those of Mozilla's
 * "intermediate" (Server Side TLS 5.7): https://wiki.mozilla.org/Security/Server_Side_TLS */
#define _GNU_SOURCE
#include "net/tls_context.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/tls_error.h"
#include "net/tls_library.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

static const char ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";
static const char groups[] = "X25519:P-256:P-384";

enum { SESSIONS = 32 };

struct tls_name {
    struct tls_name *next;
    struct tls_setup *setup;
    char text[];
};

struct tls_setup {
    uint32_t refs;
    bool accepts;
    bool tickets;
    enum tls_verify verify;
    SSL_CTX *ctx;
    struct tls_name *names;
    unsigned char *alpn; /* of a server */
    size_t alpn_n;
    unsigned char *ocsp; /* in DER; or NULL */
    size_t ocsp_n;
    unsigned char sessions[SESSIONS]; /* resumed by whom: see add_sessions */
};

/* ---- what OpenSSL asks ---- */

static bool offers_challenge(SSL *ssl)
{
    static const unsigned char alone[] = "\0\x0b\x0a" "acme-tls/1"; /* the length of the list, then of its only name */
    const unsigned char *list;
    size_t n;
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &list, &n) &&
           n == sizeof alone - 1 && memcmp(list, alone, n) == 0;
}

/* Before anything costly is computed. */
static int on_hello(SSL *ssl, int *alert, void *unused)
{
    struct tls_peer *p = SSL_get_app_data(ssl);
    (void)alert, (void)unused;
    if (p)
        p->challenge = offers_challenge(ssl);
    return p && p->may_go_on && !p->may_go_on(p) ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

/* "*.example" is for one label in its place. */
static bool stands_for(const char *pattern, const char *name)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(name, '.');
        return dot && dot > name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

static struct tls_setup *setup_for(const struct tls_setup *setup, const char *name)
{
    struct tls_setup *wild = NULL;
    for (const struct tls_name *n = setup->names; n; n = n->next)
        if (stands_for(n->text, name)) {
            if (n->text[0] != '*')
                return n->setup;
            wild = wild ? wild : n->setup;
        }
    return wild;
}

/* An unknown name gets the first certificate, as from other servers. */
static int on_server_name(SSL *ssl, int *alert, void *own)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_setup *other = name ? setup_for(own, name) : NULL;
    struct tls_peer *p = SSL_get_app_data(ssl);
    (void)alert;
    p->known = other != NULL;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    if (other && !SSL_set_SSL_CTX(ssl, other->ctx))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

/* A certificate is needed. 1: go on; -1: call again later; 0: the handshake fails, because an authority would take the
 * ordinary certificate for a wrong answer. */
static int on_certificate(SSL *ssl, void *own)
{
    struct tls_peer *p = own;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name || (p->known && !p->challenge))
        return 1;
    if (p->question == 0 && !p->challenge && X509_check_host(SSL_get_certificate(ssl), name, 0, 0, NULL) == 1)
        return 1;
    if (p->question == 0) {
        p->question = ++p->context->questions;
        list_push(&p->context->asking, &p->asking);
        loop_late(p->context->loop, &p->context->ask);
    }
    if (!list_empty(&p->asking))
        return -1;
    return p->answer || !p->challenge;
}

/* The first of ours that the client has; none in common ends the handshake (RFC 7301). In TLS 1.3 this comes before the
 * certificate: an authority gets its protocol, and then on_certificate finds what to show. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *theirs, unsigned m,
                   void *own)
{
    const struct tls_setup *setup = own;
    const struct tls_peer *p = SSL_get_app_data(ssl);
    unsigned char *chosen;
    if (p && p->challenge && p->context->loop) {
        *out = theirs + 1;
        *n = theirs[0];
        return SSL_TLSEXT_ERR_OK;
    }
    if (setup->alpn_n == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, n, setup->alpn, (unsigned)setup->alpn_n, theirs, m) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Of each certificate of a chain. Why one is refused is noted: it is gone when the handshake has failed. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_peer *p = ssl ? SSL_get_app_data(ssl) : NULL;
    if (!ok && p)
        p->refused = tls_error_of_certificate(X509_STORE_CTX_get_current_cert(store), p->name,
                                              X509_STORE_CTX_get_error(store));
    return ok;
}

/* For a client that asks how its certificate stands; OpenSSL takes the copy over. */
static int on_status(SSL *ssl, void *own)
{
    const struct tls_setup *setup = own;
    unsigned char *copy = OPENSSL_memdup(setup->ocsp, setup->ocsp_n);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)setup->ocsp_n))
        return SSL_TLSEXT_ERR_OK;
    OPENSSL_free(copy);
    return SSL_TLSEXT_ERR_NOACK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int makes)
{
    struct tls_peer *p = SSL_get_app_data(ssl);
    return tls_ticket_use(&p->context->tickets, name, iv, cipher, mac, makes);
}

/* A client's session is kept for the next connection to that name. 1: we keep its reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_peer *p = SSL_get_app_data(ssl);
    return p->name && p->context && tls_session_keep(&p->context->sessions, p->name, session);
}

/* ---- setups ---- */

static bool fill_in(struct tls_setup *setup)
{
    SSL_CTX *ctx = setup->ctx;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, setup->accepts ? SSL_SESS_CACHE_OFF
                                                       : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (!setup->accepts)
        SSL_CTX_sess_set_new_cb(ctx, on_session);
    if (setup->accepts) {
        SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(ctx, setup);
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, setup);
        SSL_CTX_set_dh_auto(ctx, 1);
        SSL_CTX_set_num_tickets(ctx, 0); /* tls.c asks for one */
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    }
    SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFE);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) && SSL_CTX_set_cipher_list(ctx, ciphers) &&
           SSL_CTX_set1_groups_list(ctx, groups) &&
           SSL_CTX_set_session_id_context(ctx, setup->sessions, SESSIONS);
}

struct tls_setup *tls_setup_new(bool accepts)
{
    struct tls_setup *setup = sys_alloc(sizeof *setup);
    if (!setup)
        return NULL;
    tls_library_begin();
    setup->refs = 1;
    setup->accepts = accepts;
    setup->tickets = true;
    setup->ctx = SSL_CTX_new(accepts ? TLS_server_method() : TLS_client_method());
    if (setup->ctx && fill_in(setup)) {
        tls_setup_verify(setup, accepts ? TLS_VERIFY_NONE : TLS_VERIFY);
        return setup;
    }
    ERR_clear_error();
    tls_setup_unref(setup);
    return NULL;
}

struct tls_setup *tls_setup_ref(struct tls_setup *setup)
{
    setup->refs++;
    return setup;
}

void tls_setup_unref(struct tls_setup *setup)
{
    if (--setup->refs > 0)
        return;
    for (struct tls_name *n = setup->names, *next; n; n = next) {
        next = n->next;
        tls_setup_unref(n->setup);
        sys_free(n);
    }
    SSL_CTX_free(setup->ctx);
    sys_free(setup->alpn);
    sys_free(setup->ocsp);
    sys_free(setup);
}

/* ---- certificates and keys ---- */

/* A key that asks for a passphrase is not asked for it on the terminal: it fails. */
static int no_passphrase(char *to, int n, int writing, void *asked)
{
    (void)to, (void)n, (void)writing;
    *(bool *)asked = true;
    return -1;
}

/* 0, or why the last call to PEM's reader gave nothing. */
static int unread(const char *what, const char *missing)
{
    unsigned long e = ERR_peek_last_error();
    bool none = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    bool memory = ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return memory ? -ENOMEM : errors_code(none ? missing : what);
}

/* All certificates of the text: the first is the leaf, those that follow go with it. */
static int use_chain(SSL_CTX *ctx, BIO *text)
{
    X509 *leaf = PEM_read_bio_X509_AUX(text, NULL, NULL, NULL);
    if (!leaf)
        return unread("malformed certificate", "no certificate in PEM");
    int ok = SSL_CTX_use_certificate(ctx, leaf);
    X509_free(leaf);
    if (!ok || !SSL_CTX_clear_chain_certs(ctx))
        return tls_error_of_setup("certificate cannot be used");
    for (X509 *next; (next = PEM_read_bio_X509(text, NULL, NULL, NULL));)
        if (!SSL_CTX_add0_chain_cert(ctx, next)) {
            X509_free(next);
            return tls_error_of_setup("chain cannot be used");
        }
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return unread("malformed certificate in the chain", "");
    ERR_clear_error();
    return 0;
}

static int use_key(SSL_CTX *ctx, BIO *text, bool there)
{
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, &asked);
    if (!key) {
        int r = unread(there ? "malformed key" : "no key in PEM", "no key in PEM");
        return asked ? errors_code("key is encrypted") : r;
    }
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok && SSL_CTX_check_private_key(ctx))
        return 0;
    return tls_error_of_setup("key is for another certificate");
}

static BIO *reader(const char *text, size_t n)
{
    ERR_clear_error();
    return n > INT_MAX ? NULL : BIO_new_mem_buf(text, (int)n);
}

int tls_setup_certificate(struct tls_setup *setup, const char *chain, size_t n, const char *key, size_t key_n)
{
    BIO *text = reader(chain, n), *secret = reader(key, key_n);
    int r = text && secret ? use_chain(setup->ctx, text) : -ENOMEM;
    if (r == 0)
        r = use_key(setup->ctx, secret, memmem(key, key_n, "PRIVATE KEY-----", 16) != NULL);
    BIO_free(text);
    BIO_free(secret);
    ERR_clear_error();
    return r;
}

/* A session that is resumed is not verified again. So those of servers with the same ticket keys that verify clients in
 * other ways, or by other authorities, are told apart: the hash of the authorities, and the way in the last byte. */
static int add_sessions(struct tls_setup *setup, const char *pem, size_t n)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    if (!HMAC(EVP_sha256(), setup->sessions, SESSIONS - 1, (const unsigned char *)pem, n, hash, NULL))
        return -ENOMEM;
    memcpy(setup->sessions, hash, SESSIONS - 1);
    return SSL_CTX_set_session_id_context(setup->ctx, setup->sessions, SESSIONS) ? 0 : -ENOMEM;
}

static int add_authorities(SSL_CTX *ctx, BIO *text, bool accepts)
{
    int count = 0;
    for (X509 *one; (one = PEM_read_bio_X509_AUX(text, NULL, NULL, NULL)); count++) {
        int ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), one) &&
                 (!accepts || SSL_CTX_add_client_CA(ctx, one));
        X509_free(one);
        if (!ok)
            return tls_error_of_setup("certificate cannot be used");
    }
    if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return unread("malformed certificate", "no certificate in PEM");
    return 0;
}

int tls_setup_trust(struct tls_setup *setup, const char *pem, size_t n)
{
    BIO *text = reader(pem, n);
    int r = text ? add_authorities(setup->ctx, text, setup->accepts) : -ENOMEM;
    if (r == 0)
        r = add_sessions(setup, pem, n);
    BIO_free(text);
    ERR_clear_error();
    return r;
}

int tls_setup_trust_system(struct tls_setup *setup)
{
    ERR_clear_error();
    return SSL_CTX_set_default_verify_paths(setup->ctx) ? 0 : tls_error_of_setup("no system certificates");
}

/* ---- the rest ---- */

int tls_setup_ciphers(struct tls_setup *setup, const char *list)
{
    ERR_clear_error();
    return SSL_CTX_set_cipher_list(setup->ctx, list) ? 0 : tls_error_of_setup("no known cipher");
}

int tls_setup_suites(struct tls_setup *setup, const char *list)
{
    ERR_clear_error();
    return SSL_CTX_set_ciphersuites(setup->ctx, list) ? 0 : tls_error_of_setup("unknown cipher suite");
}

int tls_setup_min_version(struct tls_setup *setup, int minor)
{
    int version = minor >= 3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_min_proto_version(setup->ctx, version) ? 0 : tls_error_of_setup("unknown version");
}

int tls_setup_max_version(struct tls_setup *setup, int minor)
{
    int version = minor >= 3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_max_proto_version(setup->ctx, version) ? 0 : tls_error_of_setup("unknown version");
}

int tls_setup_alpn(struct tls_setup *setup, const char *wire, size_t n)
{
    if (!setup->accepts)
        return SSL_CTX_set_alpn_protos(setup->ctx, (const unsigned char *)wire, (unsigned)n) == 0 ? 0 : -ENOMEM;
    unsigned char *copy = sys_alloc(n);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, wire, n);
    sys_free(setup->alpn);
    setup->alpn = copy;
    setup->alpn_n = n;
    return 0;
}

int tls_setup_ocsp(struct tls_setup *setup, const char *der, size_t n)
{
    const unsigned char *at = (const unsigned char *)der;
    ERR_clear_error();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)base_min(n, LONG_MAX));
    if (!response)
        return tls_error_of_setup("no OCSP response in DER");
    OCSP_RESPONSE_free(response);
    unsigned char *copy = sys_alloc(n);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, der, n);
    sys_free(setup->ocsp);
    setup->ocsp = copy;
    setup->ocsp_n = n;
    SSL_CTX_set_tlsext_status_cb(setup->ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(setup->ctx, setup);
    return 0;
}

void tls_setup_tickets(struct tls_setup *setup, bool on)
{
    if (on)
        SSL_CTX_clear_options(setup->ctx, SSL_OP_NO_TICKET);
    else
        SSL_CTX_set_options(setup->ctx, SSL_OP_NO_TICKET);
    setup->tickets = on;
}

bool tls_setup_gives_tickets(const struct tls_setup *setup) { return setup->tickets; }

void tls_setup_verify(struct tls_setup *setup, enum tls_verify verify)
{
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    setup->verify = verify;
    setup->sessions[SESSIONS - 1] = (unsigned char)verify;
    must(SSL_CTX_set_session_id_context(setup->ctx, setup->sessions, SESSIONS));
    SSL_CTX_set_verify(setup->ctx, modes[verify], verify == TLS_VERIFY_NONE ? NULL : on_verify);
}

enum tls_verify tls_setup_verifies(const struct tls_setup *setup) { return setup->verify; }

int tls_setup_name(struct tls_setup *setup, const char *name, struct tls_setup *other)
{
    size_t n = strlen(name) + 1;
    struct tls_name *added = sys_alloc(sizeof *added + n);
    if (!added)
        return -ENOMEM;
    memcpy(added->text, name, n);
    added->setup = tls_setup_ref(other);
    struct tls_name **last = &setup->names;
    while (*last)
        last = &(*last)->next;
    *last = added;
    return 0;
}

int tls_setup_names(struct tls_setup *setup, struct tls_setup *other)
{
    X509 *leaf = SSL_CTX_get0_certificate(other->ctx);
    GENERAL_NAMES *names = leaf ? X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL) : NULL;
    int r = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && r == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const char *text = name->type == GEN_DNS ? (const char *)ASN1_STRING_get0_data(name->d.dNSName) : NULL;
        if (text && strlen(text) == (size_t)ASN1_STRING_length(name->d.dNSName))
            r = tls_setup_name(setup, text, other);
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return r;
}

/* ---- contexts ---- */

struct tls_context *tls_context_new(struct tls_setup *setup)
{
    struct tls_context *context = sys_alloc(sizeof *context);
    if (!context)
        return NULL;
    context->refs = 1;
    list_init(&context->asking);
    list_init(&context->ask.link);
    context->accepts = setup->accepts;
    context->setup = setup;
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (--context->refs > 0)
        return;
    tls_setup_unref(context->setup);
    tls_session_forget(&context->sessions);
    list_del(&context->ask.link);
    sys_free(context);
}

void tls_context_use(struct tls_context *context, struct tls_setup *setup)
{
    if (setup->verify != TLS_VERIFY_NONE && !context->tickets.given)
        tls_ticket_renew(&context->tickets);
    tls_session_forget(&context->sessions);
    tls_setup_unref(context->setup);
    context->setup = setup;
}

bool tls_context_connection(struct tls_context *context, struct tls_peer *peer)
{
    list_init(&peer->asking);
    peer->ssl = SSL_new(context->setup->ctx);
    if (!peer->ssl || !SSL_set_app_data(peer->ssl, peer)) {
        ERR_clear_error();
        SSL_free(peer->ssl);
        peer->ssl = NULL;
        return false;
    }
    peer->context = tls_context_ref(context);
    peer->setup = tls_setup_ref(context->setup);
    if (context->accepts)
        SSL_set_accept_state(peer->ssl);
    else
        SSL_set_connect_state(peer->ssl);
    if (context->loop)
        SSL_set_cert_cb(peer->ssl, on_certificate, peer);
    return true;
}

void tls_context_leave(struct tls_peer *peer)
{
    if (!peer->ssl)
        return;
    list_del(&peer->asking);
    SSL_free(peer->ssl);
    if (peer->answer)
        tls_setup_unref(peer->answer);
    tls_setup_unref(peer->setup);
    tls_context_unref(peer->context);
}

uint64_t tls_context_question(struct tls_context *context, const char **name, bool *challenge)
{
    for (struct list *l = context->asking.next; l != &context->asking; l = l->next) {
        struct tls_peer *p = container_of(l, struct tls_peer, asking);
        *name = SSL_get_servername(p->ssl, TLSEXT_NAMETYPE_host_name);
        if (!p->told && *name) {
            p->told = true;
            *challenge = p->challenge;
            return p->question;
        }
    }
    return 0;
}

/* It gets the other's certificate, and goes on to verify clients as it began: that would be the other's from here on.
 * false: no memory. */
static bool take_certificate(struct tls_peer *p, const struct tls_setup *from)
{
    SSL_CTX *ctx = p->setup->ctx;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(ctx));
    bool done = SSL_set_SSL_CTX(p->ssl, from->ctx) &&
                SSL_set1_verify_cert_store(p->ssl, SSL_CTX_get_cert_store(ctx)) &&
                SSL_set_session_id_context(p->ssl, p->setup->sessions, SESSIONS);
    if (names)
        SSL_set_client_CA_list(p->ssl, names);
    return done;
}

void tls_context_answer(struct tls_context *context, uint64_t question, struct tls_setup *setup)
{
    for (struct list *l = context->asking.next; l != &context->asking; l = l->next) {
        struct tls_peer *p = container_of(l, struct tls_peer, asking);
        if (p->question != question)
            continue;
        list_del(&p->asking);
        if (setup && take_certificate(p, setup))
            p->answer = tls_setup_ref(setup);
        p->answered(p);
        return;
    }
}
