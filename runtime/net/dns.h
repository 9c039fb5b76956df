/* SPDX-License-Identifier: MIT */
/* dns.h - c-ares on our poller and timers: a channel for the name servers, with its sockets, its retries and its
 * memory, and one for the hosts file.
 *
 * Called by resolver, which owns it. c-ares reads hosts file and resolv.conf, asks and asks again; it has a
 * clock of its own, the system's. Its callbacks come from within dns_start, a poller's event, our timer or dns_close;
 * they only pass the answer on. What c-ares allocates and which sockets it uses go through sys, and a call of those
 * that failed is remembered: c-ares itself would take half of an answer, or a resolv.conf that it could not read to
 * its end, for the whole. */
#ifndef MOONPARK_DNS_H
#define MOONPARK_DNS_H

#include "base/list.h"
#include "loop/loop.h"
#include "net/dns_walk.h"

enum { DNS_SEARCH_MAX = 32 };

/* What stands in the place of the system's configuration; NULL and -1: the system's. */
struct dns_settings {
    const char *servers; /* "127.0.0.1:53,[::1]:53" */
    const char *lookups; /* "f" hosts file, "b" name servers, in their order */
    const char *search[DNS_SEARCH_MAX];
    int search_count, ndots, timeout, tries; /* timeout: ms of the first try */
};

struct ares_options;

/* A question, inside what wants to know. name and family (AF_UNSPEC, ...) stay as they are until done is called. */
struct dns_query {
    struct list link;
    struct dns *dns; /* NULL once it is done */
    const char *name;
    int family;
    int trouble; /* what failed on our side meanwhile */
    struct dns_walk walk;
    /* code 0: found has at least one address, and is the owner's to free; else a negative code and NULL. */
    void (*done)(struct dns_query *q, int code, struct ares_addrinfo *found);
};

struct dns {
    struct loop *loop;
    struct ares_channeldata *ares; /* the name servers'; NULL where none are asked */
    struct ares_options *read;     /* what c-ares has read for it */
    struct dns_rules rules;
    struct list sockets;
    struct list running; /* queries that c-ares works on */
    struct list pending; /* and those that it will */
    struct timer timer;
    int64_t retry_at;    /* ns: no retry is due earlier; 0: not known */
    uint32_t credit;     /* queries that may be started at once */
    uint32_t budget;     /* pieces of work left before others have their turn */
    int trouble;         /* what failed in the call into c-ares that goes on */
    bool inside;         /* such a call goes on */
    bool broken;         /* no memory for its timer: the owner must close it */
    void (*settled)(struct dns *d); /* the owner's: after each call into c-ares; may close d */
};

/* d is zeroed, `settled` is set. 0, or a negative code with nothing left open. */
int dns_open(struct dns *d, struct loop *loop, const struct dns_settings *settings);

/* Ends every query with ERR_CLOSED, or -ENOMEM where d is broken. */
void dns_close(struct dns *d);

/* Starts q, or queues it. q->done may be called before this returns, and `settled` is. */
void dns_start(struct dns *d, struct dns_query *q);

/* For names that never leave this machine: the hosts file alone, else loopback addresses. */
int dns_localhost(struct loop *loop, const char *name, int family, struct ares_addrinfo **found);

/* c-ares's own state in this process; each open needs its close. 0 or a negative code. */
int dns_library_open(void);
void dns_library_close(void);

#endif
