/* SPDX-License-Identifier: MIT */
/* dns_walk.h - takes one name through hosts file and name servers, search domains and both families, and decides what
 * counts as its result. Each question goes to c-ares separately, so the result of each is known: c-ares itself would
 * report only how the last one ended.
 *
 * Everything in here runs inside dns's calls into c-ares. */
#ifndef MOONPARK_DNS_WALK_H
#define MOONPARK_DNS_WALK_H

#include "base/base.h"

struct ares_addrinfo;
struct ares_channeldata;

/* The rules of a walk. They belong to the owner and do not change until the walk is done. */
struct dns_rules {
    struct ares_channeldata *servers; /* asks only servers; NULL if `order` has no 'b' */
    struct ares_channeldata *file;    /* reads only the file; NULL if `order` has no 'f' */
    const char *order;                /* "f": the hosts file, "b": the name servers, in their order */
    char **domains;                   /* search domains */
    int domain_count, ndots;
};

/* Zeroed, except for name and family (AF_UNSPEC, ...), which do not change, and done. */
struct dns_walk {
    const char *name;
    int family;
    /* code 0: found has at least one address, best first, and the owner must free it; ERR_NO_HOST: the servers say that
     * there is none; ERR_SERVER, ERR_TIMEOUT: a server failed, so there may be one; ERR_CLOSED, -ENOMEM. */
    void (*done)(struct dns_walk *w, int code, struct ares_addrinfo *found);

    const struct dns_rules *rules;
    const char *order;           /* the remaining part */
    int next;                    /* index of the next name to ask for */
    int waiting;                 /* outstanding answers */
    int trouble;                 /* the worst failure of the current name */
    int failed;                  /* how the servers failed, once they have */
    bool absent;                 /* a server said that there is no such name */
    struct ares_addrinfo *found;
};

/* done may be called before this returns. */
void dns_walk_start(struct dns_walk *w, const struct dns_rules *rules);

#endif
