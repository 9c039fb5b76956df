/* SPDX-License-Identifier: MIT */
/* dns_walk.c - asks for names with a dot at the end, so that c-ares adds no domain, and for each family separately, so
 * that its status belongs to one question. */
#include "net/dns_walk.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/addr_rank.h"

#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_DOTTED = 254 }; /* bytes, with the root's dot */

static int translate(int status)
{
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
    case ARES_EBADNAME: return ERR_NO_HOST;
    case ARES_ETIMEOUT: return ERR_TIMEOUT;
    case ARES_ENOMEM: return -ENOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return ERR_CLOSED;
    default: return ERR_SERVER;
    }
}

/* ---- the result ---- */

struct ranked {
    uint64_t rank;
    struct ares_addrinfo_node *node;
};

static int by_rank(const void *a, const void *b)
{
    uint64_t first = ((const struct ranked *)a)->rank, second = ((const struct ranked *)b)->rank;
    return (first < second) - (first > second);
}

/* Best first, RFC 6724. */
static int sort(struct ares_addrinfo *found)
{
    size_t n = 0, i = 0;
    for (struct ares_addrinfo_node *at = found->nodes; at; at = at->ai_next)
        n++;
    if (n < 2)
        return 0;
    struct ranked *all = sys_alloc(n * sizeof *all);
    if (!all)
        return -ENOMEM;
    for (struct ares_addrinfo_node *at = found->nodes; at; at = at->ai_next, i++)
        all[i] = (struct ranked){(uint64_t)addr_rank(at->ai_addr, at->ai_addrlen) << 32 | (n - i), at};
    qsort(all, n, sizeof *all, by_rank);
    for (i = 0; i < n; i++)
        all[i].node->ai_next = i + 1 < n ? all[i + 1].node : NULL;
    found->nodes = all[0].node;
    sys_free(all);
    return 0;
}

static void finish(struct dns_walk *w, int code)
{
    struct ares_addrinfo *found = w->found;
    w->found = NULL;
    if (code == 0)
        code = sort(found);
    if (code < 0 && found)
        ares_freeaddrinfo(found);
    w->done(w, code, code < 0 ? NULL : found);
}

/* Adds the found addresses to the others. */
static void keep(struct dns_walk *w, struct ares_addrinfo *found)
{
    if (!w->found && found->nodes) {
        w->found = found;
        return;
    }
    if (found->nodes) {
        struct ares_addrinfo_node **end = &w->found->nodes;
        while (*end)
            end = &(*end)->ai_next;
        *end = found->nodes;
        found->nodes = NULL;
    }
    ares_freeaddrinfo(found);
}

/* ---- the hosts file ---- */

static void in_file(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct dns_walk *w = arg;
    (void)timeouts;
    if (status == ARES_ENOMEM)
        w->trouble = -ENOMEM;
    if (status == ARES_SUCCESS)
        keep(w, found);
}

static void look_into_file(struct dns_walk *w)
{
    struct ares_addrinfo_hints hints = {.ai_family = w->family, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(w->rules->file, w->name, NULL, &hints, in_file, w); /* at once */
}

/* ---- the servers ---- */

static int count_dots(const char *name)
{
    int n = 0;
    for (; *name; name++)
        n += *name == '.';
    return n;
}

/* Makes name "." domain "."; false: too long to ask for. domain "" is the root. */
static bool join(char text[static NAME_MAX_DOTTED + 1], const char *name, const char *domain)
{
    size_t n = strlen(name), m = strlen(domain);
    n -= n > 0 && name[n - 1] == '.';
    m -= m > 0 && domain[m - 1] == '.';
    return snprintf(text, NAME_MAX_DOTTED + 1, "%.*s.%.*s%s", (int)n, name, (int)m, domain, m > 0 ? "." : "") <=
           NAME_MAX_DOTTED;
}

/* The next name to ask for. With ndots dots the name itself is first, otherwise last; with a final dot only it. */
static bool next_name(struct dns_walk *w, char text[static NAME_MAX_DOTTED + 1])
{
    const struct dns_rules *r = w->rules;
    bool whole = w->name[strlen(w->name) - 1] == '.', first = whole || count_dots(w->name) >= r->ndots;
    int names = whole ? 1 : r->domain_count + 1;
    while (w->next < names) {
        int domain = first ? w->next - 1 : w->next;
        w->next++;
        bool as_it_is = domain < 0 || domain == r->domain_count;
        if (join(text, w->name, as_it_is ? "" : r->domains[domain]))
            return true;
    }
    return false;
}

static void walk(struct dns_walk *w);

/* Which of two failures is reported: one that ends everything; then one from a server. */
static int worse(int a, int b)
{
    return b == -ENOMEM || b == ERR_CLOSED || a == 0 || (a == ERR_TIMEOUT && b != 0) ? b : a;
}

/* A question for the current name has ended. "No such name" holds for all types (RFC 8020). */
static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct dns_walk *w = arg;
    int code = translate(status);
    (void)timeouts;
    if (found)
        keep(w, found);
    w->absent |= status == ARES_ENOTFOUND;
    if (code != ERR_NO_HOST && code != 0)
        w->trouble = worse(w->trouble, code);
    if (--w->waiting == 0)
        walk(w);
}

static void ask_servers(struct dns_walk *w, const char *name)
{
    static const int families[] = {AF_INET, AF_INET6};
    w->waiting = w->family == AF_UNSPEC ? 2 : 1;
    for (size_t i = 0, left = (size_t)w->waiting; left > 0; i++) { /* after the last one w may be gone */
        struct ares_addrinfo_hints hints = {.ai_family = families[i], .ai_flags = ARES_AI_NOSORT};
        if (w->family != AF_UNSPEC && w->family != families[i])
            continue;
        left--;
        ares_getaddrinfo(w->rules->servers, name, NULL, &hints, answered, w);
    }
}

/* ---- the steps ---- */

/* Judges the last step: true, and the walk is done; or continues with the next one. A failure of the servers ends
 * their part: the name may exist, and a later domain must not take its place. */
static bool is_decided(struct dns_walk *w)
{
    int trouble = w->trouble;
    bool absent = w->absent;
    w->trouble = 0;
    w->absent = false;
    if (trouble == -ENOMEM || trouble == ERR_CLOSED || w->found) {
        finish(w, trouble == -ENOMEM || trouble == ERR_CLOSED ? trouble : 0);
        return true;
    }
    if (trouble && !absent) {
        w->failed = trouble;
        w->order++;
    }
    return false;
}

static void walk(struct dns_walk *w)
{
    char name[NAME_MAX_DOTTED + 1];
    while (!is_decided(w)) {
        if (*w->order == '\0') {
            finish(w, w->failed ? w->failed : ERR_NO_HOST);
            return;
        }
        if (*w->order == 'b' && next_name(w, name)) {
            ask_servers(w, name);
            return;
        }
        if (*w->order++ == 'f')
            look_into_file(w);
    }
}

void dns_walk_start(struct dns_walk *w, const struct dns_rules *rules)
{
    w->rules = rules;
    w->order = rules->order;
    walk(w);
}
