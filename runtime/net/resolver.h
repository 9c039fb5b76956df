/* SPDX-License-Identifier: MIT */
/* resolver.h - names to addresses: lookups that tasks wait for, on a c-ares channel that is renewed when
 * /etc/resolv.conf has changed.
 *
 * Called by l_resolver, owned by the context, opened by the first lookup. Lookups of one name that are under
 * way share one. Who waits puts its waiter into lookup.waiters and is woken once the lookup is done; who goes away
 * leaves, and what nobody waits for any longer is given up. */
#ifndef MOONPARK_RESOLVER_H
#define MOONPARK_RESOLVER_H

#include "net/addr.h"
#include "net/dns.h"

struct service;
struct ares_addrinfo_node;

struct resolver {
    struct loop *loop;
    struct service *current;   /* what new lookups use, or NULL */
    struct list services;      /* that one, and those that still have lookups */
    struct dns_settings *settings; /* or NULL: the system's; its texts are in the same block */
    uint64_t fingerprint;      /* of resolv.conf, as current has read it */
    int64_t looked;            /* ns, when that was last looked at */
    bool opened;
};

struct lookup {
    struct dns_query query;
    struct service *service; /* NULL once it is done */
    struct list waiters;     /* by waiter.link */
    uint32_t wanted;         /* resolver_start's without their resolver_leave */
    int code;                /* once it is done: 0, or what went wrong */
    bool done;
    struct ares_addrinfo *found;
    char name[];
};

/* Looks host up: n bytes, a name as addr_host takes it. family: AF_UNSPEC, AF_INET, AF_INET6. The lookup may be done
 * at once. 0 with *out to be left, or -ENOMEM, -EMFILE, ... */
int resolver_start(struct resolver *r, struct loop *loop, const char *host, size_t n, int family, struct lookup **out);

/* One who started it no longer wants it. */
void resolver_leave(struct lookup *l);

/* The addresses that were found, best first (RFC 6724): *at is NULL before the first. False after the last. */
bool resolver_next(const struct lookup *l, const struct ares_addrinfo_node **at, struct addr *a);

/* From now on lookups follow these settings, which are copied; NULL: the system's. 0, or -ENOMEM with nothing
 * changed. */
int resolver_configure(struct resolver *r, const struct dns_settings *settings);

/* Everything under way ends with ERR_CLOSED. */
void resolver_close(struct resolver *r);

void resolver_check(const struct resolver *r);

#endif
