/* SPDX-License-Identifier: MIT */
/* tls_ocsp.c - asks nobody: a response comes with the handshake, or not at all. */
#include "net/tls_ocsp.h"

#include "base/errors.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { LEEWAY = 300 }; /* seconds by which clocks may differ */

enum stand { UNKNOWN, GOOD, REVOKED };

static enum stand stand_of(OCSP_BASICRESP *basic, const EVP_MD *hash, X509 *leaf, X509 *issuer)
{
    ASN1_GENERALIZEDTIME *from, *to;
    int status = -1;
    OCSP_CERTID *id = OCSP_cert_to_id(hash, leaf, issuer);
    bool found = id && OCSP_resp_find_status(basic, id, &status, NULL, NULL, &from, &to) == 1;
    OCSP_CERTID_free(id);
    if (!found || OCSP_check_validity(from, to, LEEWAY, -1) != 1)
        return UNKNOWN;
    return status == V_OCSP_CERTSTATUS_GOOD ? GOOD : status == V_OCSP_CERTSTATUS_REVOKED ? REVOKED : UNKNOWN;
}

static enum stand read_response(SSL *ssl, STACK_OF(X509) *chain)
{
    const unsigned char *bytes;
    long n = SSL_get_tlsext_status_ocsp_resp(ssl, &bytes);
    OCSP_RESPONSE *response = n > 0 ? d2i_OCSP_RESPONSE(NULL, &bytes, n) : NULL;
    OCSP_BASICRESP *basic = response ? OCSP_response_get1_basic(response) : NULL;
    enum stand stand = UNKNOWN;
    if (basic && OCSP_basic_verify(basic, chain, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), 0) == 1) {
        X509 *leaf = sk_X509_value(chain, 0);
        X509 *issuer = sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0);
        stand = stand_of(basic, EVP_sha1(), leaf, issuer);
        if (stand == UNKNOWN)
            stand = stand_of(basic, EVP_sha256(), leaf, issuer);
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return stand;
}

int tls_ocsp_check(struct ssl_st *ssl)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    if (!chain || sk_X509_num(chain) == 0)
        return 0;
    enum stand stand = read_response(ssl, chain);
    bool must = X509_get_ext_by_NID(sk_X509_value(chain, 0), NID_tlsfeature, -1) >= 0;
    ERR_clear_error();
    if (stand == REVOKED)
        return errors_code("certificate was revoked");
    return must && stand != GOOD ? errors_code("certificate must come with an OCSP response that is good") : 0;
}
