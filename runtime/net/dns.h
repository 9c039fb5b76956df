/* SPDX-License-Identifier: MIT */
/* dns.h - c-ares on our poller and timers: a channel for the name servers, with its sockets, retries and memory, and
 * one for the hosts file.
 *
 * Owned by resolver. c-ares reads the hosts file and resolv.conf, sends and repeats questions; it uses the system's
 * clock. Its callbacks run inside dns_start, an event of the poller, our timer or dns_close, and only pass the answer
 * on. Its allocations and sockets go through sys, and failed calls are remembered: c-ares itself would take half an
 * answer, or a resolv.conf that it could not read to its end, for the whole. */
#ifndef MOONPARK_DNS_H
#define MOONPARK_DNS_H

#include "base/list.h"
#include "loop/loop.h"
#include "net/dns_walk.h"

enum { DNS_SEARCH_MAX = 32 };

/* Replaces the system's configuration; NULL and -1: use the system's. */
struct dns_settings {
    const char *servers; /* "127.0.0.1:53,[::1]:53" */
    const char *lookups; /* "f" hosts file, "b" name servers, in their order */
    const char *search[DNS_SEARCH_MAX];
    int search_count, ndots, timeout, tries; /* timeout: ms of the first try */
};

struct ares_options;

/* A question, embedded in its owner's struct. name and family (AF_UNSPEC, ...) do not change until done is called. */
struct dns_query {
    struct list link;
    struct dns *dns; /* NULL when done */
    const char *name;
    int family;
    int trouble; /* what failed on our side meanwhile */
    struct dns_walk walk;
    /* code 0: found has at least one address, and the owner must free it; otherwise a negative code and NULL. */
    void (*done)(struct dns_query *q, int code, struct ares_addrinfo *found);
};

struct dns {
    struct loop *loop;
    struct ares_channeldata *ares; /* for the name servers; NULL if none are asked */
    struct ares_options *read;     /* the configuration that c-ares read for it */
    struct dns_rules rules;
    struct list sockets;
    struct list running; /* queries that c-ares is working on */
    struct list pending; /* queries that are not started yet */
    struct timer timer;
    int64_t retry_at;    /* ns: no retry is due earlier; 0: not known */
    uint32_t credit;     /* queries that may be started at once */
    uint32_t budget;     /* pieces of work left before other work gets its turn */
    int trouble;         /* what failed in the current call into c-ares */
    bool inside;         /* there is such a call */
    bool broken;         /* no memory for its timer: the owner must close it */
    void (*settled)(struct dns *d); /* set by the owner; called after each call into c-ares; may close d */
};

/* d is zeroed, with `settled` set. Returns 0, or a negative code with nothing left open. */
int dns_open(struct dns *d, struct loop *loop, const struct dns_settings *settings);

/* Ends every query with ERR_CLOSED, or -ENOMEM if d is broken. */
void dns_close(struct dns *d);

/* Starts or queues q. `settled`, and perhaps q->done, are called before this returns. */
void dns_start(struct dns *d, struct dns_query *q);

/* For names that never leave this machine: from the hosts file, otherwise loopback addresses. */
int dns_localhost(struct loop *loop, const char *name, int family, struct ares_addrinfo **found);

/* Opens and closes c-ares's state in this process; each open needs a close. Returns 0 or a negative code. */
int dns_library_open(void);
void dns_library_close(void);

#endif
