/* SPDX-License-Identifier: MIT */
/* keys.c - OpenSSL's EVP, one call at a time. What it allocates it frees, whatever fails in between: each function has
 * one exit. */
#include "net/keys.h"

#include "base/errors.h"
#include "net/tls_library.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>

static const char curve[] = "prime256v1";

int keys_failure(const char *words)
{
    bool memory = false;
    for (unsigned long e; (e = ERR_get_error());)
        memory = memory || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
    return memory ? -ENOMEM : errors_code(words);
}

int keys_generate(struct evp_pkey_st **key)
{
    tls_library_begin();
    *key = EVP_EC_gen(curve);
    return *key ? 0 : keys_failure("no key could be made");
}

/* Instead of a prompt at the terminal. */
static int no_password(char *to, int size, int writing, void *asked)
{
    (void)to, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static int read_pem(struct evp_pkey_st **key, BIO *from)
{
    bool asked = false;
    *key = PEM_read_bio_PrivateKey(from, NULL, no_password, &asked);
    if (*key)
        return 0;
    if (asked)
        return keys_failure("the key is encrypted");
    return keys_failure("the private key is malformed");
}

static bool contains(const char *text, size_t n, const char *what)
{
    size_t length = strlen(what);
    const char *end = text + n;
    for (const char *at = text; (at = memchr(at, what[0], (size_t)(end - at))); at++)
        if ((size_t)(end - at) >= length && memcmp(at, what, length) == 0)
            return true;
    return false;
}

bool keys_is_pem(const char *text, size_t n) { return contains(text, n, "-----BEGIN"); }

int keys_read(struct evp_pkey_st **key, const char *text, size_t n)
{
    static const char none[] = "no private key in PEM";
    tls_library_begin();
    *key = NULL;
    if (n == 0 || n > INT_MAX)
        return errors_code(none);
    if (!keys_is_pem(text, n)) {
        const unsigned char *at = (const unsigned char *)text;
        *key = d2i_AutoPrivateKey(NULL, &at, (long)n);
        return *key ? 0 : keys_failure(none);
    }
    if (!contains(text, n, "PRIVATE KEY-----"))
        return errors_code(none);
    BIO *from = BIO_new_mem_buf(text, (int)n);
    if (!from)
        return keys_failure(none);
    int r = read_pem(key, from);
    BIO_free(from);
    return r;
}

int keys_write(struct evp_pkey_st *key, struct buf *pem)
{
    char *bytes;
    BIO *to = BIO_new(BIO_s_secmem());
    if (!to || !PEM_write_bio_PKCS8PrivateKey(to, key, NULL, NULL, 0, NULL, NULL)) {
        BIO_free(to);
        return keys_failure("the key cannot be written");
    }
    long n = BIO_get_mem_data(to, &bytes);
    int r = buf_append(pem, bytes, (size_t)n);
    BIO_free(to);
    return r;
}

void keys_free(struct evp_pkey_st *key) { EVP_PKEY_free(key); }

/* ---- P-256 ---- */

static int place(struct evp_pkey_st *key, const char *name, unsigned char *to)
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(key, name, &number) && BN_bn2binpad(number, to, KEYS_PLACE) == KEYS_PLACE;
    BN_free(number);
    return done ? 0 : keys_failure("the key is not on the curve P-256");
}

static bool is_on_curve(struct evp_pkey_st *key)
{
    char name[32];
    size_t n;
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, name, sizeof name, &n) &&
           strcmp(name, curve) == 0;
}

int keys_point(struct evp_pkey_st *key, unsigned char point[2 * KEYS_PLACE])
{
    if (!is_on_curve(key))
        return keys_failure("the key is not on the curve P-256");
    int r = place(key, OSSL_PKEY_PARAM_EC_PUB_X, point);
    return r < 0 ? r : place(key, OSSL_PKEY_PARAM_EC_PUB_Y, point + KEYS_PLACE);
}

/* The signature without its DER. */
static int unwrap(const unsigned char *der, size_t n, unsigned char signature[2 * KEYS_PLACE])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool done = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, KEYS_PLACE) == KEYS_PLACE &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + KEYS_PLACE, KEYS_PLACE) == KEYS_PLACE;
    ECDSA_SIG_free(pair);
    return done ? 0 : keys_failure("nothing could be signed");
}

int keys_sign(struct evp_pkey_st *key, const char *bytes, size_t n, unsigned char signature[2 * KEYS_PLACE])
{
    unsigned char der[2 * KEYS_PLACE + 16];
    size_t der_n = sizeof der;
    if (!is_on_curve(key))
        return keys_failure("the key is not on the curve P-256");
    EVP_MD_CTX *work = EVP_MD_CTX_new();
    bool done = work && EVP_DigestSignInit(work, NULL, EVP_sha256(), NULL, key) > 0 &&
                EVP_DigestSign(work, der, &der_n, (const unsigned char *)bytes, n) > 0;
    EVP_MD_CTX_free(work);
    return done ? unwrap(der, der_n, signature) : keys_failure("nothing could be signed");
}

/* The public key at that point. */
static int from_point(struct evp_pkey_st **key, const unsigned char point[2 * KEYS_PLACE])
{
    unsigned char octets[1 + 2 * KEYS_PLACE] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(octets + 1, point, 2 * KEYS_PLACE);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof octets),
        OSSL_PARAM_construct_end(),
    };
    *key = NULL;
    EVP_PKEY_CTX *work = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    bool done = work && EVP_PKEY_fromdata_init(work) > 0 &&
                EVP_PKEY_fromdata(work, key, EVP_PKEY_PUBLIC_KEY, params) > 0;
    EVP_PKEY_CTX_free(work);
    return done ? 0 : keys_failure("no point of the curve P-256");
}

/* The signature in DER: its bytes, for OPENSSL_free; NULL: no memory. */
static unsigned char *wrap(const unsigned char signature[2 * KEYS_PLACE], int *n)
{
    unsigned char *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, KEYS_PLACE, NULL), *s = BN_bin2bn(signature + KEYS_PLACE, KEYS_PLACE, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s)) {
        r = s = NULL;
        *n = i2d_ECDSA_SIG(pair, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return der;
}

static int verify(struct evp_pkey_st *key, const char *bytes, size_t n, const unsigned char *der, int der_n)
{
    EVP_MD_CTX *work = EVP_MD_CTX_new();
    int right = -1;
    if (work && EVP_DigestVerifyInit(work, NULL, EVP_sha256(), NULL, key) > 0)
        right = EVP_DigestVerify(work, der, (size_t)der_n, (const unsigned char *)bytes, n);
    EVP_MD_CTX_free(work);
    int failure = keys_failure("nothing could be verified");
    return right >= 0 ? right : failure;
}

int keys_verify(const unsigned char point[2 * KEYS_PLACE], const char *bytes, size_t n,
                const unsigned char signature[2 * KEYS_PLACE])
{
    struct evp_pkey_st *key;
    int der_n = 0;
    tls_library_begin();
    int r = from_point(&key, point);
    if (r < 0)
        return r;
    unsigned char *der = wrap(signature, &der_n);
    r = der ? verify(key, bytes, n, der, der_n) : keys_failure("nothing could be verified");
    OPENSSL_free(der);
    keys_free(key);
    return r;
}

/* ---- hashes ---- */

int keys_sha256(const char *bytes, size_t n, unsigned char hash[KEYS_HASH])
{
    tls_library_begin();
    return EVP_Digest(bytes, n, hash, NULL, EVP_sha256(), NULL) ? 0 : keys_failure("nothing could be hashed");
}

int keys_hmac(const char *secret, size_t secret_n, const char *bytes, size_t n, unsigned char mac[KEYS_HASH])
{
    tls_library_begin();
    if (secret_n > INT_MAX)
        return errors_code("the secret is too long");
    bool done = HMAC(EVP_sha256(), secret, (int)secret_n, (const unsigned char *)bytes, n, mac, NULL);
    return done ? 0 : keys_failure("nothing could be hashed");
}

int keys_seal(const unsigned char secret[KEYS_SECRET], const unsigned char nonce[KEYS_NONCE], const char *also,
              size_t also_n, const char *bytes, size_t n, unsigned char *sealed)
{
    int done_n = 0;
    tls_library_begin();
    if (n > INT_MAX - KEYS_TAG || also_n > INT_MAX)
        return errors_code("too long");
    EVP_CIPHER_CTX *work = EVP_CIPHER_CTX_new();
    bool done = work && EVP_EncryptInit_ex(work, EVP_aes_256_gcm(), NULL, secret, nonce) > 0 &&
                EVP_EncryptUpdate(work, NULL, &done_n, (const unsigned char *)also, (int)also_n) > 0 &&
                EVP_EncryptUpdate(work, sealed, &done_n, (const unsigned char *)bytes, (int)n) > 0 &&
                EVP_EncryptFinal_ex(work, sealed + n, &done_n) > 0 &&
                EVP_CIPHER_CTX_ctrl(work, EVP_CTRL_AEAD_GET_TAG, KEYS_TAG, sealed + n) > 0;
    EVP_CIPHER_CTX_free(work);
    return done ? 0 : keys_failure("nothing could be sealed");
}

int keys_unseal(const unsigned char secret[KEYS_SECRET], const unsigned char nonce[KEYS_NONCE], const char *also,
                size_t also_n, const unsigned char *sealed, size_t n, unsigned char *bytes)
{
    int done_n = 0;
    unsigned char tag[KEYS_TAG];
    tls_library_begin();
    if (n < KEYS_TAG || n > INT_MAX || also_n > INT_MAX)
        return errors_code("not sealed with this key");
    memcpy(tag, sealed + n - KEYS_TAG, KEYS_TAG);
    EVP_CIPHER_CTX *work = EVP_CIPHER_CTX_new();
    bool done = work && EVP_DecryptInit_ex(work, EVP_aes_256_gcm(), NULL, secret, nonce) > 0 &&
                EVP_DecryptUpdate(work, NULL, &done_n, (const unsigned char *)also, (int)also_n) > 0 &&
                EVP_DecryptUpdate(work, bytes, &done_n, sealed, (int)(n - KEYS_TAG)) > 0 &&
                EVP_CIPHER_CTX_ctrl(work, EVP_CTRL_AEAD_SET_TAG, KEYS_TAG, tag) > 0 &&
                EVP_DecryptFinal_ex(work, bytes + n - KEYS_TAG, &done_n) > 0;
    EVP_CIPHER_CTX_free(work);
    return done ? 0 : keys_failure("not sealed with this key");
}

int keys_random(unsigned char *bytes, size_t n)
{
    tls_library_begin();
    return n <= INT_MAX && RAND_bytes(bytes, (int)n) == 1 ? 0 : keys_failure("no random bytes");
}
