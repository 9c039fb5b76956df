/* SPDX-License-Identifier: MIT */
/* keys.h - private keys, and what is signed and hashed with them: what certificates and their authorities need.
 *
 * Called by x509 and the face. A key is OpenSSL's, belongs to the caller, and ends with keys_free. Failures are codes
 * of errors.h, those of bad input in words; OpenSSL's error queue is left empty. */
#ifndef MOONPARK_KEYS_H
#define MOONPARK_KEYS_H

#include "base/base.h"
#include "base/buf.h"

struct evp_pkey_st;

enum {
    KEYS_HASH = 32,   /* bytes of a SHA-256 */
    KEYS_PLACE = 32,  /* bytes of one coordinate, or of half a signature, of P-256 */
    KEYS_SECRET = 32, /* bytes of a key of AES-256 */
    KEYS_NONCE = 12,  /* bytes that make two uses of one differ */
    KEYS_TAG = 16,    /* bytes that prove what was sealed */
};

/* A new key on the curve P-256. *key is NULL unless 0 is returned. */
int keys_generate(struct evp_pkey_st **key);

/* Does "-----BEGIN" stand in the text? */
bool keys_is_pem(const char *text, size_t n);

/* The first private key in PEM text, or, without "-----BEGIN", in DER. An encrypted one is refused: nobody is here to
 * ask for a password. */
int keys_read(struct evp_pkey_st **key, const char *text, size_t n);

/* Appends the key, not encrypted: PKCS #8 in PEM. */
int keys_write(struct evp_pkey_st *key, struct buf *pem);

void keys_free(struct evp_pkey_st *key);

/* Where the public half of a P-256 key lies: x, then y. Another kind of key is refused. */
int keys_point(struct evp_pkey_st *key, unsigned char point[2 * KEYS_PLACE]);

/* ES256 of JWS (RFC 7518): r, then s, of a P-256 key over the SHA-256 of the bytes. */
int keys_sign(struct evp_pkey_st *key, const char *bytes, size_t n, unsigned char signature[2 * KEYS_PLACE]);

/* Is it such a signature? Returns 1, 0, or a failure. point: as keys_point's. */
int keys_verify(const unsigned char point[2 * KEYS_PLACE], const char *bytes, size_t n,
                const unsigned char signature[2 * KEYS_PLACE]);

/* SHA-256, and HMAC with it. 0 or -ENOMEM. */
int keys_sha256(const char *bytes, size_t n, unsigned char hash[KEYS_HASH]);
int keys_hmac(const char *secret, size_t secret_n, const char *bytes, size_t n, unsigned char mac[KEYS_HASH]);

/* AES-256-GCM. Writes n bytes, encrypted, and KEYS_TAG bytes that prove them and `also`, which is not encrypted. A
 * secret must never be used twice with the same nonce. */
int keys_seal(const unsigned char secret[KEYS_SECRET], const unsigned char nonce[KEYS_NONCE], const char *also,
              size_t also_n, const char *bytes, size_t n, unsigned char *sealed);

/* The other way: of n sealed bytes, writes KEYS_TAG fewer. Bytes that were not sealed in this way are refused, and
 * nothing of what was written then may be used. */
int keys_unseal(const unsigned char secret[KEYS_SECRET], const unsigned char nonce[KEYS_NONCE], const char *also,
                size_t also_n, const unsigned char *sealed, size_t n, unsigned char *bytes);

/* n bytes that nobody can guess, for secrets. */
int keys_random(unsigned char *bytes, size_t n);

/* What OpenSSL's queue says about a call that failed: -ENOMEM, or else `words`. */
int keys_failure(const char *words);

#endif
