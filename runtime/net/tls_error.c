/* SPDX-License-Identifier: MIT */
/* tls_error.c - what a certificate lacks comes first, then what OpenSSL noted; both in our words where people meet them
 * often, else in OpenSSL's, in lower case. */
#include "net/tls_error.h"

#include "base/errors.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 256, WORDS = 160 };

struct words {
    long code;
    const char *text;
};

static const struct words of_certificates[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "certificate is not valid yet"},
    {X509_V_ERR_CERT_REVOKED, "certificate has been revoked"},
    {X509_V_ERR_INVALID_PURPOSE, "certificate is for another purpose"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "unknown issuer"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "unknown issuer"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "unknown issuer"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "unknown issuer"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "unknown issuer"},
};

static const struct words of_issuers[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "an issuer's certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "an issuer's certificate is not valid yet"},
    {X509_V_ERR_CERT_REVOKED, "an issuer's certificate has been revoked"},
    {X509_V_ERR_INVALID_CA, "an issuer is no authority"},
};

static const struct words of_handshakes[] = {
    {SSL_R_NO_SHARED_CIPHER, "handshake failure: no shared cipher"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "handshake failure: no client certificate"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "handshake failure: unsupported version"},
    {SSL_R_VERSION_TOO_LOW, "handshake failure: unsupported version"},
    {SSL_R_WRONG_VERSION_NUMBER, "handshake failure: not TLS"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "handshake failure: unsupported version"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "handshake failure: client certificate required"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "handshake failure: no shared protocol"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "handshake failure: no shared protocol"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "handshake failure: refused by the peer"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "handshake failure: the peer does not know our issuer"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "handshake failure: the peer refused our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "handshake failure: the peer says our certificate has expired"},
};

static const char *find(const struct words *list, size_t n, long code)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].code == code)
            return list[i].text;
    return NULL;
}

/* What others may choose: no more than letters of names. */
static void copy_name(char *to, const char *from, size_t n)
{
    n = base_min(n, NAME - 1);
    for (size_t i = 0; i < n; i++)
        to[i] = isalnum((unsigned char)from[i]) || (from[i] && strchr("-._*: ", from[i])) ? from[i] : '?';
    to[n] = '\0';
}

/* The first host that the certificate is for; or "". */
static void name_of(const X509 *certificate, char *to)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    to[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !to[0]; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            copy_name(to, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                      (size_t)ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
            const unsigned char *ip = ASN1_STRING_get0_data(name->d.iPAddress);
            snprintf(to, NAME, "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
        }
    }
    GENERAL_NAMES_free(names);
}

static int other_host(const X509 *certificate, const char *name)
{
    char words[WORDS], theirs[NAME];
    name_of(certificate, theirs);
    if (!theirs[0])
        return errors_code("certificate names no host: the CN of its subject does not count");
    snprintf(words, sizeof words, "certificate is for %.64s, not %.64s", theirs, name);
    return errors_code(words);
}

static int in_lower_case(const char *before, const char *text)
{
    char words[WORDS];
    int n = snprintf(words, sizeof words, "%s", before);
    for (; *text && n < WORDS - 1; text++)
        words[n++] = (char)tolower((unsigned char)*text);
    words[n] = '\0';
    return errors_code(words);
}

int tls_error_of_certificate(const struct x509_st *certificate, const char *name, int code, int depth)
{
    bool host = code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH;
    if (code == X509_V_ERR_OUT_OF_MEM)
        return -ENOMEM;
    if (host && name && certificate)
        return other_host(certificate, name);
    const char *known = depth > 0 ? find(of_issuers, ARRAY_LEN(of_issuers), code) : NULL;
    known = known ? known : find(of_certificates, ARRAY_LEN(of_certificates), code);
    return known ? errors_code(known) : in_lower_case("certificate: ", X509_verify_cert_error_string(code));
}

int tls_error_of(bool shaken)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    const char *text = ERR_reason_error_string(e);
    const char *known = ERR_GET_LIB(e) == ERR_LIB_SSL ? find(of_handshakes, ARRAY_LEN(of_handshakes), reason) : NULL;
    ERR_clear_error();
    if (reason == ERR_R_MALLOC_FAILURE)
        return -ENOMEM;
    return known ? errors_code(known)
                 : in_lower_case(shaken ? "tls: " : "handshake failure: ", text ? text : "unknown");
}

int tls_error_of_setup(const char *what)
{
    bool memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return memory ? -ENOMEM : errors_code(what);
}
