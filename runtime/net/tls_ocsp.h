/* SPDX-License-Identifier: MIT */
/* tls_ocsp.h - what a server's stapled OCSP response says of its certificate: RFC 6960, RFC 6066 section 8. */
#ifndef MOONPARK_TLS_OCSP_H
#define MOONPARK_TLS_OCSP_H

#include "base/base.h"

struct ssl_st;

/* Of a client whose handshake has verified the server's chain. Returns 0, or why the certificate is refused: a valid
 * response says that it was revoked, or it must come with one (RFC 7633) and has none that is good. A response that is
 * not valid, old, or of another certificate counts as none: who has a revoked certificate would not send one. */
int tls_ocsp_check(struct ssl_st *ssl);

#endif
