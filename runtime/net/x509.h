/* SPDX-License-Identifier: MIT */
/* x509.h - certificates as data: made, asked for, and read.
 *
 * Called by the face. A certificate is OpenSSL's, belongs to the caller, and ends with x509_free. Failures are codes of
 * errors.h, those of bad input in words; OpenSSL's error queue is left empty. Chains are verified by TLS, not here. */
#ifndef MOONPARK_X509_H
#define MOONPARK_X509_H

#include "base/base.h"
#include "base/buf.h"

struct evp_pkey_st;
struct x509_st;

enum {
    X509_FINGERPRINT = 32, /* bytes of a SHA-256 */
    X509_KEY_KIND = 32,    /* bytes of its text, with the zero */
};

/* What a certificate, or a request for one, is to say. */
struct x509_order {
    const char *const *names; /* hosts, "*.example" too, and IP addresses; at least one */
    size_t count;
    int64_t not_before, not_after;  /* Unix seconds; not in a request */
    const unsigned char *challenge; /* NULL, or the SHA-256 that answers an acme-tls/1 challenge (RFC 8737) */
};

/* What a certificate says. Zeroed before it is filled in. */
struct x509_facts {
    struct buf subject, issuer;     /* as in RFC 2253, UTF-8 */
    struct buf serial;              /* hexadecimal digits */
    struct buf dns_names;           /* each with a zero byte behind it; a name that has one inside is left out */
    struct buf ip_addresses;        /* the same, as text */
    int64_t not_before, not_after;  /* Unix seconds */
    unsigned char fingerprint[X509_FINGERPRINT];
    char key[X509_KEY_KIND];        /* "EC prime256v1", "RSA 2048", "ED25519" */
};

/* Appends a certificate for these names that the key itself has signed, in PEM. It is of no authority. */
int x509_self_signed(struct evp_pkey_st *key, const struct x509_order *order, struct buf *pem);

/* Appends a request for a certificate: PKCS #10 in DER. */
int x509_request(struct evp_pkey_st *key, const struct x509_order *order, struct buf *der);

/* The first certificate in PEM text, or, without "-----BEGIN", in DER. */
int x509_read(struct x509_st **certificate, const char *text, size_t n);

void x509_free(struct x509_st *certificate);

/* Fills in *facts, which x509_facts_fini then frees, also after a failure. */
int x509_describe(const struct x509_st *certificate, struct x509_facts *facts);
void x509_facts_fini(struct x509_facts *facts);

/* 0 if the key is the certificate's. */
int x509_matches(const struct x509_st *certificate, struct evp_pkey_st *key);

#endif
