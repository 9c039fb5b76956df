/* SPDX-License-Identifier: MIT */
/* tls_pem.c - reads until OpenSSL finds no further start line: any other failure is one of the text. */
#define _GNU_SOURCE
#include "net/tls_pem.h"

#include "base/errors.h"
#include "net/tls_error.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

/* What asks for a passphrase is not asked for it on the terminal: it fails. */
static int no_passphrase(char *to, int n, int writing, void *asked)
{
    (void)to, (void)n, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static X509 *next_certificate(BIO *text)
{
    bool asked;
    return PEM_read_bio_X509_AUX(text, NULL, no_passphrase, &asked);
}

/* 0, or why the last call to PEM's reader gave nothing. */
static int unread(const char *what, const char *missing)
{
    unsigned long e = ERR_peek_last_error();
    bool none = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    bool memory = ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    return memory ? -ENOMEM : errors_code(none ? missing : what);
}

static bool at_end(void) { return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE; }

static int use_chain(SSL_CTX *ctx, BIO *text)
{
    X509 *leaf = next_certificate(text);
    if (!leaf)
        return unread("malformed certificate", "no certificate in PEM");
    int ok = SSL_CTX_use_certificate(ctx, leaf);
    X509_free(leaf);
    if (!ok || !SSL_CTX_clear_chain_certs(ctx))
        return tls_error_of_setup("certificate cannot be used");
    for (X509 *next; (next = next_certificate(text));)
        if (!SSL_CTX_add0_chain_cert(ctx, next)) {
            X509_free(next);
            return tls_error_of_setup("chain cannot be used");
        }
    return at_end() ? 0 : unread("malformed certificate in the chain", "");
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

static int add_authorities(SSL_CTX *ctx, BIO *text, bool accepts)
{
    int count = 0;
    for (X509 *one; (one = next_certificate(text)); count++) {
        int ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), one) &&
                 (!accepts || SSL_CTX_add_client_CA(ctx, one));
        X509_free(one);
        if (!ok)
            return tls_error_of_setup("certificate cannot be used");
    }
    return count > 0 && at_end() ? 0 : unread("malformed certificate", "no certificate in PEM");
}

static BIO *reader(const char *text, size_t n)
{
    ERR_clear_error();
    return n > INT_MAX ? NULL : BIO_new_mem_buf(text, (int)n);
}

static int ended(BIO *bio, int r)
{
    BIO_free(bio);
    ERR_clear_error();
    return r;
}

int tls_pem_chain(struct ssl_ctx_st *ctx, const char *text, size_t n)
{
    BIO *bio = reader(text, n);
    return ended(bio, bio ? use_chain(ctx, bio) : -ENOMEM);
}

int tls_pem_key(struct ssl_ctx_st *ctx, const char *text, size_t n)
{
    BIO *bio = reader(text, n);
    return ended(bio, bio ? use_key(ctx, bio, memmem(text, n, "PRIVATE KEY-----", 16) != NULL) : -ENOMEM);
}

int tls_pem_authorities(struct ssl_ctx_st *ctx, const char *text, size_t n, bool accepts)
{
    BIO *bio = reader(text, n);
    return ended(bio, bio ? add_authorities(ctx, bio, accepts) : -ENOMEM);
}
