/* SPDX-License-Identifier: MIT */
/* x509.c - OpenSSL's certificates: an object is made, then filled in step by step while steps succeed, then written to
 * memory. One exit each, so that nothing is left whatever fails. */
#include "net/x509.h"

#include "base/errors.h"
#include "net/keys.h"
#include "net/tls_library.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SERIAL = 16, COMMON_NAME = 64, IP6 = 16, IP4 = 4 };

static const char acme_identifier[] = "1.3.6.1.5.5.7.1.31";

/* ---- what is written ---- */

/* The address in network order at `to`: how many bytes it has, 0: it is none. */
static int address_of(const char *name, unsigned char to[IP6])
{
    if (inet_pton(AF_INET, name, to) == 1)
        return IP4;
    return inet_pton(AF_INET6, name, to) == 1 ? IP6 : 0;
}

static bool set_name(GENERAL_NAME *to, const char *name)
{
    unsigned char address[IP6];
    int n = address_of(name, address);
    ASN1_STRING *value = n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!value || !ASN1_STRING_set(value, n ? (const void *)address : name, n ? n : (int)strlen(name))) {
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(to, n ? GEN_IPADD : GEN_DNS, value);
    return true;
}

static bool add_name(GENERAL_NAMES *names, const char *name)
{
    GENERAL_NAME *one = GENERAL_NAME_new();
    if (one && set_name(one, name) && sk_GENERAL_NAME_push(names, one) > 0)
        return true;
    GENERAL_NAME_free(one);
    return false;
}

static bool add_names(STACK_OF(X509_EXTENSION) **extensions, const struct x509_order *order)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool done = names != NULL;
    for (size_t i = 0; i < order->count && done; i++)
        done = add_name(names, order->names[i]);
    done = done && X509V3_add1_i2d(extensions, NID_subject_alt_name, names, 0, 0) > 0;
    GENERAL_NAMES_free(names);
    return done;
}

static bool add_extension(STACK_OF(X509_EXTENSION) **extensions, int nid, const char *value)
{
    X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool done = one && X509v3_add_ext(extensions, one, -1);
    X509_EXTENSION_free(one);
    return done;
}

/* Critical: an octet string in DER, as the value of the extension. */
static bool add_challenge(STACK_OF(X509_EXTENSION) **extensions, const unsigned char *hash)
{
    unsigned char der[2 + KEYS_HASH] = {V_ASN1_OCTET_STRING, KEYS_HASH};
    memcpy(der + 2, hash, KEYS_HASH);
    ASN1_OBJECT *kind = OBJ_txt2obj(acme_identifier, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *one = NULL;
    if (kind && value && ASN1_OCTET_STRING_set(value, der, sizeof der))
        one = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, value);
    bool done = one && X509v3_add_ext(extensions, one, -1);
    X509_EXTENSION_free(one);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(kind);
    return done;
}

/* Without a keyUsage: with one that lacks keyCertSign, OpenSSL does not take a self-signed certificate as its own
 * issuer, and clients that are told to trust it do not. */
static STACK_OF(X509_EXTENSION) *extensions_of(const struct x509_order *order)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    bool done = add_names(&extensions, order) &&
                add_extension(&extensions, NID_basic_constraints, "critical,CA:FALSE") &&
                add_extension(&extensions, NID_ext_key_usage, "serverAuth") &&
                (!order->challenge || add_challenge(&extensions, order->challenge));
    if (done)
        return extensions;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return NULL;
}

static bool add_extensions(X509 *to, const struct x509_order *order)
{
    STACK_OF(X509_EXTENSION) *extensions = extensions_of(order);
    bool done = extensions != NULL;
    for (int i = 0; done && i < sk_X509_EXTENSION_num(extensions); i++)
        done = X509_add_ext(to, sk_X509_EXTENSION_value(extensions, i), -1);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return done;
}

static bool set_serial(X509 *to)
{
    unsigned char bytes[SERIAL];
    if (keys_random(bytes, SERIAL) < 0)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always of the same length */
    BIGNUM *number = BN_bin2bn(bytes, SERIAL, NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(to));
    BN_free(number);
    return done;
}

/* Subject and issuer. A common name has at most 64 characters. */
static bool set_subject(X509 *to, const char *name)
{
    const char *text = strlen(name) <= COMMON_NAME ? name : "self-signed";
    X509_NAME *subject = X509_get_subject_name(to);
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) &&
           X509_set_issuer_name(to, subject);
}

static bool sign_self(X509 *to, struct evp_pkey_st *key, const struct x509_order *order)
{
    return X509_set_version(to, X509_VERSION_3) && set_serial(to) && set_subject(to, order->names[0]) &&
           ASN1_TIME_set(X509_getm_notBefore(to), (time_t)order->not_before) &&
           ASN1_TIME_set(X509_getm_notAfter(to), (time_t)order->not_after) && X509_set_pubkey(to, key) &&
           add_extensions(to, order) && X509_sign(to, key, EVP_sha256()) > 0;
}

static int check(const struct x509_order *order)
{
    if (order->count == 0)
        return errors_code("a certificate needs a name");
    for (size_t i = 0; i < order->count; i++)
        if (!order->names[i][0] || strlen(order->names[i]) > 255)
            return errors_code("a name in a certificate has 1 to 255 bytes");
    return 0;
}

/* Appends what lies in the memory of a BIO. */
static int take(BIO *from, struct buf *to)
{
    char *bytes;
    long n = BIO_get_mem_data(from, &bytes);
    return buf_append(to, bytes, (size_t)n);
}

int x509_self_signed(struct evp_pkey_st *key, const struct x509_order *order, struct buf *pem)
{
    int r = check(order);
    if (r < 0)
        return r;
    X509 *made = X509_new();
    BIO *to = BIO_new(BIO_s_mem());
    bool done = made && to && sign_self(made, key, order) && PEM_write_bio_X509(to, made);
    r = done ? take(to, pem) : keys_failure("no certificate could be made");
    BIO_free(to);
    X509_free(made);
    return r;
}

static bool fill_request(X509_REQ *to, struct evp_pkey_st *key, const struct x509_order *order)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    bool done = X509_REQ_set_version(to, X509_REQ_VERSION_1) && X509_REQ_set_pubkey(to, key) &&
                add_names(&extensions, order) && X509_REQ_add_extensions(to, extensions) &&
                X509_REQ_sign(to, key, EVP_sha256()) > 0;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return done;
}

int x509_request(struct evp_pkey_st *key, const struct x509_order *order, struct buf *der)
{
    int r = check(order);
    if (r < 0)
        return r;
    X509_REQ *made = X509_REQ_new();
    BIO *to = BIO_new(BIO_s_mem());
    bool done = made && to && fill_request(made, key, order) && i2d_X509_REQ_bio(to, made);
    r = done ? take(to, der) : keys_failure("no request could be made");
    BIO_free(to);
    X509_REQ_free(made);
    return r;
}

/* ---- what is read ---- */

int x509_read(struct x509_st **certificate, const char *text, size_t n)
{
    static const char none[] = "no certificate in PEM";
    tls_library_begin();
    *certificate = NULL;
    if (n == 0 || n > INT_MAX)
        return errors_code(none);
    if (!keys_is_pem(text, n)) {
        const unsigned char *at = (const unsigned char *)text;
        *certificate = d2i_X509(NULL, &at, (long)n);
        return *certificate ? 0 : keys_failure(none);
    }
    BIO *from = BIO_new_mem_buf(text, (int)n);
    *certificate = from ? PEM_read_bio_X509(from, NULL, NULL, NULL) : NULL;
    BIO_free(from);
    if (*certificate)
        return 0;
    bool is_none = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    return keys_failure(is_none ? none : "the certificate is malformed");
}

void x509_free(struct x509_st *certificate) { X509_free(certificate); }

static int add_zeroed(struct buf *to, const char *text, size_t n)
{
    if (memchr(text, '\0', n))
        return 0;
    int r = buf_append(to, text, n);
    return r < 0 ? r : buf_append(to, "", 1);
}

static int put_name(const GENERAL_NAME *name, struct x509_facts *facts)
{
    char text[INET6_ADDRSTRLEN];
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    if (kind != GEN_DNS && kind != GEN_IPADD)
        return 0;
    const unsigned char *bytes = ASN1_STRING_get0_data(value);
    int n = ASN1_STRING_length(value);
    if (kind == GEN_DNS)
        return add_zeroed(&facts->dns_names, (const char *)bytes, (size_t)n);
    if ((n != IP4 && n != IP6) || !inet_ntop(n == IP4 ? AF_INET : AF_INET6, bytes, text, sizeof text))
        return 0;
    return add_zeroed(&facts->ip_addresses, text, strlen(text));
}

static int put_names(const X509 *certificate, struct x509_facts *facts)
{
    int found, r = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, NULL);
    if (!names)
        return found == -1 ? 0 : keys_failure("the certificate's names are malformed");
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && r >= 0; i++)
        r = put_name(sk_GENERAL_NAME_value(names, i), facts);
    GENERAL_NAMES_free(names);
    return r;
}

static int put_subject(const X509_NAME *name, struct buf *to)
{
    BIO *text = BIO_new(BIO_s_mem());
    bool done = text && X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0;
    int r = done ? take(text, to) : keys_failure("the certificate's subject is malformed");
    BIO_free(text);
    return r;
}

static int put_serial(const X509 *certificate, struct buf *to)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *digits = number ? BN_bn2hex(number) : NULL;
    int r = digits ? buf_append(to, digits, strlen(digits)) : keys_failure("the certificate's serial is malformed");
    OPENSSL_free(digits);
    BN_free(number);
    return r;
}

static int put_time(const ASN1_TIME *from, int64_t *to)
{
    struct tm parts;
    if (!ASN1_TIME_to_tm(from, &parts))
        return keys_failure("the certificate's times are malformed");
    *to = (int64_t)timegm(&parts);
    return 0;
}

static int put_key(const X509 *certificate, char to[X509_KEY_KIND])
{
    char group[X509_KEY_KIND - 4];
    size_t n;
    struct evp_pkey_st *key = X509_get0_pubkey(certificate);
    if (!key)
        return keys_failure("the certificate's key is malformed");
    int kind = EVP_PKEY_get_base_id(key);
    if (kind == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof group, &n))
        snprintf(to, X509_KEY_KIND, "EC %s", group);
    else if (kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS)
        snprintf(to, X509_KEY_KIND, "RSA %d", EVP_PKEY_get_bits(key));
    else
        snprintf(to, X509_KEY_KIND, "%.30s", OBJ_nid2sn(kind));
    ERR_clear_error();
    return 0;
}

int x509_describe(const struct x509_st *certificate, struct x509_facts *facts)
{
    int r = put_subject(X509_get_subject_name(certificate), &facts->subject);
    if (r >= 0)
        r = put_subject(X509_get_issuer_name(certificate), &facts->issuer);
    if (r >= 0)
        r = put_serial(certificate, &facts->serial);
    if (r >= 0)
        r = put_names(certificate, facts);
    if (r >= 0)
        r = put_time(X509_get0_notBefore(certificate), &facts->not_before);
    if (r >= 0)
        r = put_time(X509_get0_notAfter(certificate), &facts->not_after);
    if (r >= 0)
        r = put_key(certificate, facts->key);
    if (r >= 0 && !X509_digest(certificate, EVP_sha256(), facts->fingerprint, NULL))
        r = keys_failure("the certificate cannot be hashed");
    return r;
}

void x509_facts_fini(struct x509_facts *facts)
{
    struct buf *const all[] = {&facts->subject, &facts->issuer, &facts->serial, &facts->dns_names,
                               &facts->ip_addresses};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_fini(all[i]);
}

int x509_matches(const struct x509_st *certificate, struct evp_pkey_st *key)
{
    if (X509_check_private_key(certificate, key) > 0)
        return 0;
    return keys_failure("the key belongs to another certificate");
}
