/* SPDX-License-Identifier: MIT */
/* dns_walk.h - the way of one name through hosts file and name servers, search domains and both families, and what of
 * that counts as its result. Each question goes to c-ares alone, so it is known what became of each: c-ares itself
 * tells the end of the last one, be it a failure or not.
 *
 * Called by dns, inside whose calls into c-ares everything in here happens. */
#ifndef MOONPARK_DNS_WALK_H
#define MOONPARK_DNS_WALK_H

#include "base/base.h"

struct ares_addrinfo;
struct ares_channeldata;

/* What a walk follows; the owner's, and the same until the walk is done. */
struct dns_rules {
    struct ares_channeldata *servers; /* channels that look nowhere else; NULL where `order` has no 'b' */
    struct ares_channeldata *file;    /* and no 'f' */
    const char *order;                /* "f": the hosts file, "b": the name servers, in their order */
    char **domains;                   /* that are searched */
    int domain_count, ndots;
};

/* Zeroed, but for name and family (AF_UNSPEC, ...), which stay as they are, and done. */
struct dns_walk {
    const char *name;
    int family;
    /* code 0: found has at least one address, best first, and is the owner's to free; ERR_NO_HOST: the servers say that
     * there is none; ERR_SERVER, ERR_TIMEOUT: one of them has failed, so there may be; ERR_CLOSED, -ENOMEM. */
    void (*done)(struct dns_walk *w, int code, struct ares_addrinfo *found);

    const struct dns_rules *rules;
    const char *order;           /* what is left of it */
    int next;                    /* of the names that are to be asked for */
    int waiting;                 /* answers that are still to come */
    int trouble;                 /* the worst failure of the name at hand */
    int failed;                  /* and what the servers failed with, once they have */
    bool absent;                 /* a server has said that there is no such name */
    struct ares_addrinfo *found;
};

/* done may be called before this returns. */
void dns_walk_start(struct dns_walk *w, const struct dns_rules *rules);

#endif
