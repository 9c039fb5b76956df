/* SPDX-License-Identifier: MIT */
/* tls_error.h - why TLS failed, in words: codes of errors_code.
 *
 * Those that read OpenSSL's error queue leave it empty. */
#ifndef MOONPARK_TLS_ERROR_H
#define MOONPARK_TLS_ERROR_H

#include "base/base.h"

struct x509_st;

/* Why the connection has failed. shaken: after the handshake. */
int tls_error_of(bool shaken);

/* Why a certificate is refused: OpenSSL's code, X509_V_ERR_... name: whom it must be for; or NULL. depth: 0 is the
 * peer's own, those above are its issuers'. */
int tls_error_of_certificate(const struct x509_st *certificate, const char *name, int code, int depth);

/* Why a setup cannot be: `what`, or -ENOMEM. */
int tls_error_of_setup(const char *what);

#endif
