/* SPDX-License-Identifier: MIT */
/* resolver.c - a service is a channel with its lookups. A new configuration makes a new service; the old one finishes
 * its lookups and is freed. A service without wanted lookups is freed at once, with its sockets and timers. */
#include "net/resolver.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/resolv_conf.h"

#include <ares.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static const int64_t LOOK_EVERY = 5 * NS_PER_SECOND; /* as Go's resolver does */

struct service {
    struct list link;
    struct resolver *resolver;
    struct dns dns;
    uint32_t wanted; /* total of its lookups */
};

static const struct dns_settings the_system = {.search_count = -1, .ndots = -1, .timeout = -1, .tries = -1};

/* ---- services ---- */

static struct service *of_dns(struct dns *d) { return container_of(d, struct service, dns); }

static void service_close(struct service *s)
{
    if (s->resolver->current == s)
        s->resolver->current = NULL;
    list_del(&s->link);
    dns_close(&s->dns);
    sys_free(s);
}

/* Is there a reason to keep it? */
static void service_settled(struct dns *d)
{
    struct service *s = of_dns(d);
    bool idle = list_empty(&d->running) && list_empty(&d->pending);
    bool is_current = s->resolver->current == s;
    if (d->broken || (idle ? !is_current : s->wanted == 0))
        service_close(s);
}

static int service_open(struct resolver *r, struct service **out)
{
    struct service *s = sys_alloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->resolver = r;
    s->dns.settled = service_settled;
    int code = dns_open(&s->dns, r->loop, r->settings ? r->settings : &the_system);
    if (code < 0) {
        sys_free(s);
        return code;
    }
    list_push(&r->services, &s->link);
    *out = s;
    return 0;
}

/* It gets no new lookups; those that it has continue. */
static void retire(struct resolver *r)
{
    struct service *s = r->current;
    r->current = NULL;
    if (s && s->wanted == 0)
        service_close(s);
}

/* A file that cannot be checked counts as unchanged. */
static void look_at_system(struct resolver *r)
{
    int64_t now = clock_now(&r->loop->clock);
    uint64_t print;
    if (r->current && now - r->looked < LOOK_EVERY)
        return;
    r->looked = now;
    if (sys_fingerprint(resolv_conf_path, &print) < 0 || print == r->fingerprint)
        return;
    r->fingerprint = print;
    retire(r);
}

static int current(struct resolver *r, struct service **out)
{
    look_at_system(r);
    int code = r->current ? 0 : service_open(r, &r->current);
    *out = r->current;
    return code;
}

/* ---- lookups ---- */

static void lookup_free(struct lookup *l)
{
    if (l->found)
        ares_freeaddrinfo(l->found);
    sys_free(l);
}

static void lookup_done(struct dns_query *q, int code, struct ares_addrinfo *found)
{
    struct lookup *l = container_of(q, struct lookup, query);
    if (l->service)
        l->service->wanted -= l->wanted;
    l->service = NULL;
    l->done = true;
    l->code = code;
    l->found = found;
    for (struct list *link; (link = list_pop(&l->waiters));)
        sched_wake_waiter(container_of(link, struct waiter, link), code);
    if (l->wanted == 0)
        lookup_free(l);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c; }

static struct lookup *lookup_new(const char *host, size_t n, int family)
{
    struct lookup *l = sys_alloc(sizeof *l + n + 1);
    if (!l)
        return NULL;
    for (size_t i = 0; i < n; i++)
        l->name[i] = lower(host[i]);
    list_init(&l->waiters);
    list_init(&l->query.link);
    l->query.name = l->name;
    l->query.family = family;
    l->query.done = lookup_done;
    l->wanted = 1;
    return l;
}

static struct lookup *same_in(struct list *queries, const char *host, size_t n, int family)
{
    for (struct list *at = queries->next; at != queries; at = at->next) {
        struct lookup *l = container_of(container_of(at, struct dns_query, link), struct lookup, query);
        if (l->query.family == family && strncasecmp(l->name, host, n) == 0 && !l->name[n])
            return l;
    }
    return NULL;
}

/* A running lookup of that name. */
static struct lookup *join(struct service *s, const char *host, size_t n, int family)
{
    struct lookup *l = same_in(&s->dns.running, host, n, family);
    if (!l)
        l = same_in(&s->dns.pending, host, n, family);
    if (l) {
        l->wanted++;
        s->wanted++;
    }
    return l;
}

/* RFC 6761, 6.3: servers are never asked for such names, whatever the search domains are. */
static bool is_localhost(const char *host, size_t n)
{
    static const char name[] = "localhost";
    size_t length = sizeof name - 1;
    if (n > 0 && host[n - 1] == '.')
        n--;
    return n >= length && strncasecmp(host + n - length, name, length) == 0 &&
           (n == length || host[n - length - 1] == '.');
}

static int start_local(struct resolver *r, const char *host, size_t n, int family, struct lookup **out)
{
    struct lookup *l = lookup_new(host, n - (host[n - 1] == '.'), family);
    if (!l)
        return -ENOMEM;
    l->done = true;
    l->code = dns_localhost(r->loop, l->name, family, &l->found);
    *out = l;
    return 0;
}

static int start(struct resolver *r, const char *host, size_t n, int family, struct lookup **out)
{
    struct service *s;
    int code = current(r, &s);
    if (code < 0)
        return code;
    if ((*out = join(s, host, n, family)))
        return 0;
    struct lookup *l = lookup_new(host, n, family);
    if (!l)
        return -ENOMEM;
    l->service = s;
    s->wanted++;
    *out = l;
    dns_start(&s->dns, &l->query);
    return 0;
}

int resolver_start(struct resolver *r, struct loop *loop, const char *host, size_t n, int family, struct lookup **out)
{
    if (!r->opened) {
        int code = dns_library_open();
        if (code < 0)
            return code;
        r->loop = loop;
        list_init(&r->services);
        r->opened = true;
    }
    return is_localhost(host, n) ? start_local(r, host, n, family, out) : start(r, host, n, family, out);
}

void resolver_leave(struct lookup *l)
{
    struct service *s = l->service;
    l->wanted--;
    if (!s && l->wanted == 0)
        lookup_free(l);
    if (!s)
        return;
    s->wanted--;
    if (!s->dns.inside)
        service_settled(&s->dns);
}

bool resolver_next(const struct lookup *l, const struct ares_addrinfo_node **at, struct addr *a)
{
    *at = *at ? (*at)->ai_next : l->found ? l->found->nodes : NULL;
    if (!*at)
        return false;
    memset(a, 0, sizeof *a);
    memcpy(&a->any, (*at)->ai_addr, (*at)->ai_addrlen);
    a->len = (*at)->ai_addrlen;
    return true;
}

/* ---- configuration ---- */

static const char *copy(char **to, const char *text)
{
    if (!text)
        return NULL;
    char *at = *to;
    *to = stpcpy(at, text) + 1;
    return at;
}

static size_t length(const char *text) { return text ? strlen(text) + 1 : 0; }

static struct dns_settings *settings_copy(const struct dns_settings *from)
{
    size_t n = length(from->servers) + length(from->lookups);
    for (int i = 0; i < from->search_count; i++)
        n += length(from->search[i]);
    struct dns_settings *s = sys_alloc(sizeof *s + n);
    if (!s)
        return NULL;
    char *at = (char *)(s + 1);
    *s = *from;
    s->servers = copy(&at, from->servers);
    s->lookups = copy(&at, from->lookups);
    for (int i = 0; i < from->search_count; i++)
        s->search[i] = copy(&at, from->search[i]);
    return s;
}

int resolver_configure(struct resolver *r, const struct dns_settings *settings)
{
    struct dns_settings *s = settings ? settings_copy(settings) : NULL;
    if (settings && !s)
        return -ENOMEM;
    sys_free(r->settings);
    r->settings = s;
    retire(r);
    return 0;
}

static uint32_t count_wanted(const struct service *s, const struct list *queries)
{
    uint32_t wanted = 0;
    for (const struct list *at = queries->next; at != queries; at = at->next) {
        const struct lookup *l = container_of(container_of(at, struct dns_query, link), struct lookup, query);
        must(l->service == s && !l->done && list_length(&l->waiters) <= l->wanted);
        wanted += l->wanted;
    }
    return wanted;
}

void resolver_check(const struct resolver *r)
{
    bool current_found = !r->current;
    for (const struct list *at = r->services.next; r->opened && at != &r->services; at = at->next) {
        const struct service *s = container_of(at, struct service, link);
        must(s->wanted == count_wanted(s, &s->dns.running) + count_wanted(s, &s->dns.pending));
        must(s->wanted > 0 || s == r->current);
        must(!s->dns.inside && !s->dns.broken);
        current_found |= s == r->current;
    }
    must(current_found);
}

void resolver_close(struct resolver *r)
{
    sys_free(r->settings);
    r->settings = NULL;
    if (!r->opened)
        return;
    while (!list_empty(&r->services))
        service_close(container_of(r->services.next, struct service, link));
    dns_library_close();
    r->opened = false;
}
