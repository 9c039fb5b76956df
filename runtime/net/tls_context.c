/* SPDX-License-Identifier: MIT */
/* tls_context.c - a setup is an SSL_CTX and the setups of other names. Ciphers and groups are those of Mozilla's
 * "intermediate" (Server Side TLS 5.7): https://wiki.mozilla.org/Security/Server_Side_TLS */
#include "net/tls_context.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/tls_error.h"
#include "net/tls_library.h"
#include "net/tls_ocsp.h"
#include "net/tls_pem.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
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
    unsigned char *alpn; /* the protocols, as on the wire */
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

static struct tls_setup *setup_for(const struct tls_setup *setup, const char *name)
{
    struct tls_setup *wild = NULL;
    for (const struct tls_name *n = setup->names; n; n = n->next)
        if (tls_name_matches(n->text, name)) {
            if (n->text[0] != '*')
                return n->setup;
            wild = wild ? wild : n->setup;
        }
    return wild;
}

/* What the client asks for; false: no name, or a word that is none: it is not asked again what that means. */
static bool asked_for(SSL *ssl, char name[TLS_NAME])
{
    const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return text && tls_name_read(name, text, strlen(text)) == TLS_NAME_HOST;
}

/* An unknown name gets the first certificate, as from other servers. */
static int on_server_name(SSL *ssl, int *alert, void *own)
{
    char name[TLS_NAME];
    bool named = asked_for(ssl, name);
    struct tls_setup *other = named ? setup_for(own, name) : NULL;
    struct tls_peer *p = SSL_get_app_data(ssl);
    (void)alert;
    p->known = other != NULL;
    if (!named)
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
    char name[TLS_NAME];
    if (!asked_for(ssl, name) || (p->known && !p->challenge))
        return 1;
    if (p->question == 0 && !p->challenge &&
        X509_check_host(SSL_get_certificate(ssl), name, 0, TLS_NAME_CHECK, NULL) == 1)
        return 1;
    if (p->question == 0) {
        p->question = ++p->context->questions;
        list_push(&p->context->asking, &p->asking);
        loop_late(p->context->loop, &p->context->ask);
    }
    if (!list_empty(&p->asking))
        return -1;
    return p->refused == 0 && (p->answer || !p->challenge);
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
    if (p && p->chosen && p->protocol[0] > 0) {
        *out = p->protocol + 1;
        *n = p->protocol[0];
        return SSL_TLSEXT_ERR_OK;
    }
    if (setup->alpn_n == 0 || (p && p->chosen))
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
                                              X509_STORE_CTX_get_error(store),
                                              X509_STORE_CTX_get_error_depth(store));
    return ok;
}

static int on_verify_go_on(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_peer *p = ssl ? SSL_get_app_data(ssl) : NULL;
    if (!ok && p && p->trouble_count < TLS_TROUBLES)
        p->troubles[p->trouble_count++] = (struct tls_trouble){.depth = X509_STORE_CTX_get_error_depth(store),
                                                               .code = X509_STORE_CTX_get_error(store)};
    return 1;
}

void tls_peer_choose(struct tls_peer *p, const char *protocol, size_t n)
{
    must(n < sizeof p->protocol);
    p->chosen = true;
    p->protocol[0] = (uint8_t)n;
    memcpy(p->protocol + 1, protocol, n);
}

void tls_peer_go_on(struct tls_peer *p, int mode) { SSL_set_verify(p->ssl, mode, on_verify_go_on); }

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

/* Of the server's response, or that there is none. */
static int on_servers_status(SSL *ssl, void *own)
{
    struct tls_peer *p = SSL_get_app_data(ssl);
    (void)own;
    if (!p || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
        return 1;
    p->refused = tls_ocsp_check(ssl);
    return p->refused == 0;
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
    if (!setup->accepts) {
        SSL_CTX_sess_set_new_cb(ctx, on_session);
        SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
        SSL_CTX_set_tlsext_status_cb(ctx, on_servers_status);
    }
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

int tls_setup_certificate(struct tls_setup *setup, const char *chain, size_t n, const char *key, size_t key_n)
{
    int r = tls_pem_chain(setup->ctx, chain, n);
    return r < 0 ? r : tls_pem_key(setup->ctx, key, key_n);
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

int tls_setup_trust(struct tls_setup *setup, const char *pem, size_t n)
{
    int r = tls_pem_authorities(setup->ctx, pem, n, setup->accepts);
    if (r == 0)
        r = add_sessions(setup, pem, n);
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
    if (!setup->accepts && SSL_CTX_set_alpn_protos(setup->ctx, (const unsigned char *)wire, (unsigned)n) != 0)
        return -ENOMEM;
    unsigned char *copy = sys_alloc(n);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, wire, n);
    sys_free(setup->alpn);
    setup->alpn = copy;
    setup->alpn_n = n;
    return 0;
}

bool tls_setup_has_alpn(const struct tls_setup *setup) { return setup->alpn_n > 0; }

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

struct ssl_ctx_st *tls_setup_ssl(struct tls_setup *setup) { return setup->ctx; }

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
    if (context->ended)
        context->ended(context);
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

static struct tls_peer *find_question(struct tls_context *context, uint64_t number)
{
    for (struct list *l = context->asking.next; l != &context->asking; l = l->next) {
        struct tls_peer *p = container_of(l, struct tls_peer, asking);
        if (p->question == number)
            return p;
    }
    return NULL;
}

/* They are the last ones: few, whatever number of others waits for answers. */
static struct tls_peer *first_untold(struct tls_context *context)
{
    struct tls_peer *first = NULL;
    for (struct list *l = context->asking.prev; l != &context->asking; l = l->prev) {
        struct tls_peer *p = container_of(l, struct tls_peer, asking);
        if (p->told)
            break;
        first = p;
    }
    return first;
}

bool tls_context_question(struct tls_context *context, struct tls_question *q)
{
    struct tls_peer *p = first_untold(context);
    if (!p)
        return false;
    q->number = p->question;
    q->challenge = p->challenge;
    must(asked_for(p->ssl, q->name));
    return true;
}

void tls_context_told(struct tls_context *context, uint64_t question)
{
    struct tls_peer *p = find_question(context, question);
    if (p)
        p->told = true;
}

/* It gets the other's certificate, and goes on to verify clients as it began: that would be the other's from here on.
 * false: no memory; then the handshake must not go on, for it is half one and half the other. */
static bool take_certificate(struct tls_peer *p, const struct tls_setup *from)
{
    SSL_CTX *ctx = p->setup->ctx;
    const STACK_OF(X509_NAME) *known = SSL_CTX_get_client_CA_list(ctx);
    STACK_OF(X509_NAME) *names = known ? SSL_dup_CA_list(known) : NULL;
    if (known && !names)
        return false;
    SSL_set_client_CA_list(p->ssl, names);
    return SSL_set_SSL_CTX(p->ssl, from->ctx) && SSL_set1_verify_cert_store(p->ssl, SSL_CTX_get_cert_store(ctx)) &&
           SSL_set_session_id_context(p->ssl, p->setup->sessions, SESSIONS);
}

void tls_context_answer(struct tls_context *context, uint64_t question, struct tls_setup *setup)
{
    struct tls_peer *p = find_question(context, question);
    if (!p)
        return;
    list_del(&p->asking);
    if (setup && take_certificate(p, setup))
        p->answer = tls_setup_ref(setup);
    else if (setup)
        p->refused = -ENOMEM;
    ERR_clear_error();
    p->answered(p);
}
