/* SPDX-License-Identifier: MIT */
/* tls_error.h - why TLS failed, in words: codes of errors_code.
 *
 * Both read OpenSSL's error queue and leave it empty. */
#ifndef MOONPARK_TLS_ERROR_H
#define MOONPARK_TLS_ERROR_H

#include "base/base.h"

struct ssl_st;

/* Why the connection has failed. name: the host that was asked for; or NULL. shaken: after the handshake. */
int tls_error_of(const struct ssl_st *ssl, const char *name, bool shaken);

/* Why a setup cannot be: `what`, or -ENOMEM. */
int tls_error_of_setup(const char *what);

#endif
