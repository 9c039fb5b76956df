/* SPDX-License-Identifier: MIT */
/* tls_pem.h - certificates and keys in PEM, for tls_context.
 *
 * These return 0, or a negative code whose text says what is wrong with what was given; OpenSSL's error queue is left
 * empty. A passphrase is never asked for. */
#ifndef MOONPARK_TLS_PEM_H
#define MOONPARK_TLS_PEM_H

#include "base/base.h"

struct ssl_ctx_st;

/* The certificate, and those that go with it: all of the text's, the leaf first. */
int tls_pem_chain(struct ssl_ctx_st *ctx, const char *text, size_t n);

/* The first key of the text, which must be that certificate's. */
int tls_pem_key(struct ssl_ctx_st *ctx, const char *text, size_t n);

/* Those that are trusted. accepts: clients are told whose certificates count. */
int tls_pem_authorities(struct ssl_ctx_st *ctx, const char *text, size_t n, bool accepts);

#endif
