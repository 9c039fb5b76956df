/* SPDX-License-Identifier: MIT */
/* tls_ticket.h - the keys of a server's session tickets. A client brings its ticket back, so the server stores nothing,
 * and another process that has the same key takes it as well.
 *
 * Keys that are given stay until others are given. Else they are random, and rotate: the newest makes tickets, for an
 * hour, and the two before it are still read. */
#ifndef MOONPARK_TLS_TICKET_H
#define MOONPARK_TLS_TICKET_H

#include "base/base.h"

struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

enum {
    TLS_TICKET_KEY = 80,    /* bytes: 16 of the name, 32 of the MAC's key, 32 of AES-256's; the layout of nginx */
    TLS_TICKET_KEYS = 3,
    TLS_TICKET_LIFE = 7200, /* seconds */
};

struct tls_tickets {
    unsigned char keys[TLS_TICKET_KEYS][TLS_TICKET_KEY]; /* the first makes tickets */
    int count;
    bool given;
    int64_t until; /* clock_real ns: when the first of the random ones is too old */
};

/* Random keys from now on: the tickets of before are worth nothing. */
void tls_ticket_renew(struct tls_tickets *tickets);

/* 1 to TLS_TICKET_KEYS keys, one after the other. */
void tls_ticket_give(struct tls_tickets *tickets, const unsigned char *keys, int count);

/* For SSL_CTX_set_tlsext_ticket_key_evp_cb. -1: failed; 0: no such key; 1: go on; 2: go on, and give a new ticket. */
int tls_ticket_use(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                   struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac, int makes);

#endif
