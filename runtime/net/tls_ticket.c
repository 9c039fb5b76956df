/* SPDX-License-Identifier: MIT */
/* tls_ticket.c - a ticket is encrypted with AES-256-CBC and authenticated with HMAC-SHA256, as OpenSSL's own are. */
#include "net/tls_ticket.h"

#include "base/clock.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

enum { NAME = 16, MAC = 32 };
#define ROTATES (3600 * NS_PER_SECOND)

void tls_ticket_renew(struct tls_tickets *tickets)
{
    tickets->count = 0;
    tickets->given = false;
}

void tls_ticket_give(struct tls_tickets *tickets, const unsigned char *keys, int count)
{
    must(count >= 1 && count <= TLS_TICKET_KEYS);
    memcpy(tickets->keys, keys, (size_t)count * TLS_TICKET_KEY);
    tickets->count = count;
    tickets->given = true;
}

/* The key that makes tickets now is the first one. */
static bool rotate(struct tls_tickets *tickets)
{
    unsigned char fresh[TLS_TICKET_KEY];
    int64_t now = clock_real();
    if (tickets->given || (tickets->count > 0 && now < tickets->until))
        return true;
    if (RAND_bytes(fresh, sizeof fresh) != 1)
        return false;
    memmove(tickets->keys[1], tickets->keys[0], (TLS_TICKET_KEYS - 1) * TLS_TICKET_KEY);
    memcpy(tickets->keys[0], fresh, sizeof fresh);
    tickets->count += tickets->count < TLS_TICKET_KEYS;
    tickets->until = now + ROTATES;
    return true;
}

static int find(const struct tls_tickets *tickets, const unsigned char *name)
{
    for (int i = 0; i < tickets->count; i++)
        if (memcmp(tickets->keys[i], name, NAME) == 0)
            return i;
    return -1;
}

static bool set_mac(EVP_MAC_CTX *mac, unsigned char *key)
{
    OSSL_PARAM with[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, MAC),
                         OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
                         OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, with);
}

int tls_ticket_use(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                   struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac, int makes)
{
    if (!rotate(tickets))
        return -1;
    int i = makes ? 0 : find(tickets, name);
    if (i < 0)
        return 0;
    unsigned char *key = tickets->keys[i];
    if (makes) {
        memcpy(name, key, NAME);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
    }
    if (!set_mac(mac, key + NAME) || !EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + NAME + MAC, iv, makes))
        return -1;
    return i > 0 ? 2 : 1;
}
