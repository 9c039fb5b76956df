/* SPDX-License-Identifier: MIT */
/* resolver.h - names to addresses: lookups that tasks wait for, on a c-ares channel that is renewed when
 * /etc/resolv.conf has changed.
 *
 * Owned by the context, opened by the first lookup. Concurrent lookups of the same name share one. A task that waits
 * puts its waiter into lookup.waiters and is woken when the lookup is done; a task that gives up calls
 * resolver_leave, and a lookup that no task wants any more is given up. */
#ifndef MOONPARK_RESOLVER_H
#define MOONPARK_RESOLVER_H

#include "net/addr.h"
#include "net/dns.h"

struct service;
struct ares_addrinfo_node;

struct resolver {
    struct loop *loop;
    struct service *current;   /* used for new lookups; or NULL */
    struct list services;      /* the current one, and those that still have lookups */
    struct dns_settings *settings; /* NULL: the system's; the texts are in the same block */
    uint64_t fingerprint;      /* of the resolv.conf that current read */
    int64_t looked;            /* ns, when the file was last checked */
    bool opened;
};

struct lookup {
    struct dns_query query;
    struct service *service; /* NULL when done */
    struct list waiters;     /* by waiter.link */
    uint32_t wanted;         /* calls of resolver_start without their resolver_leave */
    int code;                /* when done: 0, or what went wrong */
    bool done;
    struct ares_addrinfo *found;
    char name[];
};

/* Looks up host: n bytes, a name as addr_host takes it. family: AF_UNSPEC, AF_INET, AF_INET6. The lookup may be done
 * at once. Returns 0, and *out needs a resolver_leave; or -ENOMEM, -EMFILE, ... */
int resolver_start(struct resolver *r, struct loop *loop, const char *host, size_t n, int family, struct lookup **out);

/* A caller that started it no longer wants it. */
void resolver_leave(struct lookup *l);

/* Iterates over the addresses, best first (RFC 6724): *at is NULL before the first. Returns false after the last. */
bool resolver_next(const struct lookup *l, const struct ares_addrinfo_node **at, struct addr *a);

/* New lookups use these settings, which are copied; NULL: the system's. Returns 0, or -ENOMEM with nothing
 * changed. */
int resolver_configure(struct resolver *r, const struct dns_settings *settings);

/* Ends all running lookups with ERR_CLOSED. */
void resolver_close(struct resolver *r);

void resolver_check(const struct resolver *r);

#endif
