/* SPDX-License-Identifier: MIT */
/* dns.c - c-ares expects levels and reads a stream once per call, but events are edges. So every socket remembers its
 * readiness until the system says EAGAIN, and `work` continues while a socket is ready. */
#include "net/dns.h"

#include "base/errors.h"
#include "base/sys.h"
#include "net/resolv_conf.h"

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum {
    BUDGET = 256,            /* datagrams and pieces of streams taken before other work gets its turn */
    CREDIT = 100,            /* queries in one burst: a server's receive buffer holds about twice as many datagrams */
    PACE = 10 * 1000 * 1000, /* ns until the next burst if no answer came */
    ROUNDING = 1000 * 1000,  /* ns: c-ares gives its timeouts in whole ms, rounded down */
    RECEIVE_BUFFER = 1 << 20,
};

struct dns_socket {
    struct list link;
    struct dns *dns;
    struct pollDesc *pd;
    int fd;
    bool dgram;
    bool readable, writable; /* as far as is known */
    bool wants_write;        /* c-ares has something to send on a stream */
    int failed;              /* a datagram could not be sent: reported by the next receive */
};

/* ---- memory ---- */

/* c-ares does not say which call an allocation belongs to: it is this thread's current one. */
static _Thread_local bool starved;

static void *library_alloc(size_t n)
{
    void *p = sys_alloc(n);
    starved |= !p;
    return p;
}

static void *library_realloc(void *p, size_t n)
{
    void *q = sys_realloc(p, n);
    starved |= !q;
    return q;
}

int dns_library_open(void)
{
    int status = ares_library_init_mem(ARES_LIB_INIT_ALL, library_alloc, sys_free, library_realloc);
    return status == ARES_SUCCESS ? 0 : -ENOMEM;
}

void dns_library_close(void) { ares_library_cleanup(); }

/* ---- calls into c-ares ---- */

static void enter(struct dns *d)
{
    must(!d->inside);
    d->inside = true;
    d->trouble = 0;
    starved = false;
}

static int trouble_now(const struct dns *d) { return starved ? -ENOMEM : d->trouble; }

/* It is unknown which query a failure belongs to: all running ones may lack something now. */
static void leave(struct dns *d)
{
    d->inside = false;
    int trouble = trouble_now(d);
    for (struct list *l = d->running.next; trouble && l != &d->running; l = l->next)
        container_of(l, struct dns_query, link)->trouble = trouble;
}

static void finish(struct dns_query *q, int code, struct ares_addrinfo *found)
{
    list_del(&q->link);
    q->dns = NULL;
    q->done(q, code, found);
}

static void walked(struct dns_walk *w, int code, struct ares_addrinfo *found)
{
    struct dns_query *q = container_of(w, struct dns_query, walk);
    struct dns *d = q->dns;
    int trouble = trouble_now(d) ? trouble_now(d) : q->trouble;
    if (trouble == -ENOMEM || (trouble && code == ERR_SERVER))
        code = trouble;
    if (code < 0 && found)
        ares_freeaddrinfo(found);
    d->credit += d->credit < CREDIT;
    finish(q, code, code < 0 ? NULL : found);
}

/* ---- what c-ares does with sockets ---- */

static int fail(int code)
{
    errno = -code;
    return -1;
}

/* Failures caused by this machine, unlike a server that refuses or a missing address family. */
static int blame(struct dns *d, int code)
{
    if (code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM || code == -ENOSPC)
        d->trouble = code;
    return fail(code);
}

static struct dns_socket *find(const struct dns *d, int fd)
{
    for (struct list *l = d->sockets.next; l != &d->sockets; l = l->next) {
        struct dns_socket *s = container_of(l, struct dns_socket, link);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

static ares_socket_t library_socket(int family, int type, int protocol, void *data)
{
    (void)protocol;
    int fd = sys_socket(family, type);
    return fd < 0 ? blame(data, fd) : fd;
}

static int library_connect(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len, void *data)
{
    (void)data;
    int r = sys_connect(fd, to, len);
    return r < 0 ? fail(r) : 0;
}

/* Sockets that only determine a source address, for sorting, were never watched. */
static int library_close(ares_socket_t fd, void *data)
{
    struct dns_socket *s = find(data, fd);
    if (s) {
        netpoll_unblock(s->pd);
        netpoll_close(s->pd);
        list_del(&s->link);
        sys_free(s);
    }
    sys_close(fd);
    return 0;
}

/* An empty datagram is no answer; c-ares would take it for the end of the socket. */
static ares_ssize_t receive(struct dns *d, struct dns_socket *s, void *bytes, size_t n, struct sockaddr *from,
                            socklen_t *len)
{
    ssize_t r = s->failed ? s->failed : -EAGAIN;
    s->failed = 0;
    while (r == -EAGAIN && d->budget > 0) {
        d->budget--;
        r = s->dgram ? sys_recv_from(s->fd, bytes, n, from, len) : sys_recv(s->fd, bytes, n);
        s->readable = r != -EAGAIN;
        if (r == -EAGAIN)
            break;
        if (r == 0 && s->dgram)
            r = -EAGAIN;
    }
    return r > (ssize_t)n ? (ssize_t)n : r; /* the excess of a datagram that did not fit is lost */
}

static ares_ssize_t library_recv(ares_socket_t fd, void *bytes, size_t n, int flags, struct sockaddr *from,
                                 ares_socklen_t *len, void *data)
{
    (void)flags;
    ssize_t r = receive(data, find(data, fd), bytes, n, from, len);
    return r < 0 ? blame(data, (int)r) : r;
}

/* A datagram that finds no room counts as lost in transit: it is sent again when no answer comes. Other failures may
 * belong to an earlier datagram (no listener), and c-ares would move only this query to the next server. So the next
 * receive reports them, and all queries move. */
static ares_ssize_t send_datagram(struct dns_socket *s, const struct iovec *iov)
{
    int r = (int)sys_send_to(s->fd, iov->iov_base, iov->iov_len, NULL, 0);
    if (r < 0 && r != -EAGAIN) {
        s->failed = r;
        s->readable = true;
    }
    return (ares_ssize_t)iov->iov_len;
}

static ares_ssize_t library_send(ares_socket_t fd, const struct iovec *iov, int count, void *data)
{
    struct dns_socket *s = find(data, fd);
    if (s->dgram)
        return send_datagram(s, iov);
    ssize_t r = sys_send(fd, iov, count);
    s->writable = r != -EAGAIN;
    return r < 0 ? blame(data, (int)r) : r;
}

static const struct ares_socket_functions functions = {
    .asocket = library_socket,
    .aclose = library_close,
    .aconnect = library_connect,
    .arecvfrom = library_recv,
    .asendv = library_send,
};

static bool notified(struct pollDesc *pd, uint32_t events);

/* It is connected or connecting: it is watched from now on. */
static int watch(struct dns *d, int fd, bool dgram)
{
    struct dns_socket *s = sys_alloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct dns_socket){.dns = d, .fd = fd, .dgram = dgram};
    int r = netpoll_open(&d->loop->netpoll, fd, &s->pd);
    if (r < 0) {
        sys_free(s);
        return r;
    }
    netpoll_notify(s->pd, notified, s);
    list_push(&d->sockets, &s->link);
    return 0;
}

static int library_created(ares_socket_t fd, int type, void *data)
{
    int r = watch(data, fd, type == SOCK_DGRAM);
    if (r < 0) {
        ((struct dns *)data)->trouble = r;
        return -1; /* it must have this number */
    }
    if (type == SOCK_DGRAM)
        (void)sys_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){RECEIVE_BUFFER}, sizeof(int));
    else
        (void)sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return 0;
}

static void library_state(void *data, ares_socket_t fd, int reads, int writes)
{
    struct dns_socket *s = find(data, fd);
    (void)reads;
    s->wants_write = writes;
}

/* ---- work ---- */

static struct dns_socket *next_with_work(const struct dns *d)
{
    for (struct list *l = d->sockets.next; l != &d->sockets; l = l->next) {
        struct dns_socket *s = container_of(l, struct dns_socket, link);
        if (s->readable || (s->wants_write && s->writable))
            return s;
    }
    return NULL;
}

static void start_pending(struct dns *d)
{
    while (d->credit > 0 && !list_empty(&d->pending)) {
        struct dns_query *q = container_of(list_pop(&d->pending), struct dns_query, link);
        list_push(&d->running, &q->link);
        d->credit--;
        q->walk = (struct dns_walk){.name = q->name, .family = q->family, .done = walked};
        dns_walk_start(&q->walk, &d->rules);
    }
}

static void serve_sockets(struct dns *d)
{
    struct dns_socket *s;
    while (d->budget > 0 && (s = next_with_work(d))) {
        bool writes = s->wants_write && s->writable;
        d->budget--;
        ares_process_fd(d->ares, s->readable ? s->fd : ARES_SOCKET_BAD, writes ? s->fd : ARES_SOCKET_BAD);
    }
}

/* Readiness that is used up is asked for again. */
static void arm_sockets(const struct dns *d)
{
    for (struct list *l = d->sockets.next; l != &d->sockets; l = l->next) {
        struct dns_socket *s = container_of(l, struct dns_socket, link);
        if (!s->readable)
            netpoll_arm(s->pd, POLL_R);
        if (s->wants_write && !s->writable)
            netpoll_arm(s->pd, POLL_W);
    }
}

/* Asking c-ares takes time for each of its queries; no later query is due earlier. */
static int64_t retry_at(struct dns *d, int64_t now)
{
    struct timeval left;
    if (d->retry_at <= now)
        d->retry_at = ares_timeout(d->ares, NULL, &left)
                          ? now + left.tv_sec * NS_PER_SECOND + left.tv_usec * 1000 + ROUNDING
                          : 0;
    return d->retry_at;
}

/* When there is work to do without an event: ns, 0: never. c-ares uses real time only: with a virtual clock, which
 * would jump to each retry at once, a lost query is not repeated. */
static int64_t next_step(struct dns *d)
{
    int64_t now = clock_now(&d->loop->clock);
    if (next_with_work(d))
        return now + 1;
    if (!list_empty(&d->pending))
        return now + PACE;
    if (list_empty(&d->running))
        d->retry_at = 0;
    else if (!d->loop->clock.frozen)
        return retry_at(d, now);
    return 0;
}

static void settle(struct dns *d)
{
    int64_t when = next_step(d);
    arm_sockets(d);
    if (when == 0)
        timers_del(&d->loop->timers, &d->timer);
    else if (timers_set(&d->loop->timers, &d->timer, when) < 0)
        d->broken = true;
    d->settled(d);
}

static void work(struct dns *d)
{
    d->budget = BUDGET;
    enter(d);
    start_pending(d);
    serve_sockets(d);
    leave(d);
    settle(d);
}

static bool notified(struct pollDesc *pd, uint32_t events)
{
    struct dns_socket *s = pd->owner;
    s->readable |= (events & POLLER_READ) != 0;
    s->writable |= (events & POLLER_WRITE) != 0;
    work(s->dns);
    return true;
}

static void fired(struct timer *timer)
{
    struct dns *d = container_of(timer, struct dns, timer);
    enter(d);
    ares_process_fd(d->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    leave(d);
    if (!list_empty(&d->pending))
        d->credit = CREDIT;
    work(d);
}

void dns_start(struct dns *d, struct dns_query *q)
{
    q->dns = d;
    q->trouble = 0;
    list_push(&d->pending, &q->link);
    work(d);
}

/* ---- opening and closing ---- */

static int fill(struct ares_options *o, const struct dns_settings *s)
{
    int mask = ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    o->flags = ARES_FLAG_NOALIASES;
    o->timeout = s->timeout;
    o->tries = s->tries;
    if (s->ndots >= 0) {
        o->ndots = s->ndots;
        mask |= ARES_OPT_NDOTS;
    }
    if (s->search_count >= 0) {
        o->domains = (char **)s->search;
        o->ndomains = s->search_count;
        mask |= ARES_OPT_DOMAINS;
    }
    if (s->lookups) {
        o->lookups = (char *)s->lookups;
        mask |= ARES_OPT_LOOKUPS;
    }
    return mask;
}

/* Without a free descriptor c-ares could not read resolv.conf, and would ask 127.0.0.1 instead. */
static int probe(void)
{
    int fd = sys_socket(AF_UNIX, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    sys_close(fd);
    return 0;
}

static int failure(void) { return starved ? -ENOMEM : ERR_SERVER; }

/* The search domains and so on that c-ares uses, including those that it read from the system's files. */
static int learn(struct dns *d, struct ares_channeldata *from)
{
    int mask;
    d->read = sys_alloc(sizeof *d->read);
    if (!d->read)
        return -ENOMEM;
    int status = ares_save_options(from, d->read, &mask);
    d->rules = (struct dns_rules){.order = d->read->lookups, .domains = d->read->domains,
                                  .domain_count = d->read->ndomains, .ndots = d->read->ndots};
    return status != ARES_SUCCESS || starved ? failure() : 0;
}

static void close_channels(struct dns *d)
{
    if (d->ares)
        ares_destroy(d->ares);
    if (d->rules.file)
        ares_destroy(d->rules.file);
    if (d->read)
        ares_destroy_options(d->read);
    sys_free(d->read);
    d->ares = d->rules.file = NULL;
    d->read = NULL;
}

static int open_channel(struct dns *d, const struct dns_settings *s, struct ares_channeldata **out)
{
    struct ares_options options = {.sock_state_cb = library_state, .sock_state_cb_data = d};
    if (ares_init_options(out, &options, fill(&options, s)) != ARES_SUCCESS)
        return failure();
    if (s->servers && ares_set_servers_ports_csv(*out, s->servers) != ARES_SUCCESS)
        return failure();
    ares_set_socket_functions(*out, &functions, d);
    ares_set_socket_callback(*out, library_created, d);
    return starved ? failure() : 0;
}

/* A channel that looks in one place only, if the order includes that place. */
static int open_single(struct dns *d, const struct dns_settings *s, const char *lookups, struct ares_channeldata **out)
{
    struct dns_settings single = *s;
    single.lookups = lookups;
    return strpbrk(d->rules.order, lookups) ? open_channel(d, &single, out) : 0;
}

/* Missing settings are taken from the system; if it has none either, from the defaults of resolv.conf(5). */
static int complete(struct dns_settings *s)
{
    struct resolv_conf system = {0};
    int r = resolv_conf_read(&system);
    if (s->timeout <= 0)
        s->timeout = system.timeout > 0 ? system.timeout * 1000 : 5000;
    if (s->tries <= 0)
        s->tries = system.attempts > 0 ? system.attempts : 2;
    return r;
}

/* The first channel shows in which order the system, or the settings, look things up: if that is one place only, it
 * becomes the channel for that place. */
static int open_channels(struct dns *d, const struct dns_settings *given)
{
    struct ares_channeldata *first = NULL;
    struct dns_settings s = *given;
    int r = probe();
    r = r < 0 ? r : complete(&s);
    if (r < 0)
        return r;
    starved = false;
    r = open_channel(d, &s, &first);
    r = r < 0 ? r : learn(d, first);
    if (r == 0 && strcmp(d->rules.order, "b") == 0)
        d->ares = first;
    else if (r == 0 && strcmp(d->rules.order, "f") == 0)
        d->rules.file = first;
    else if (first)
        ares_destroy(first);
    if (r == 0 && !d->ares && !d->rules.file) {
        r = open_single(d, &s, "b", &d->ares);
        r = r < 0 ? r : open_single(d, &s, "f", &d->rules.file);
    }
    d->rules.servers = d->ares;
    return r;
}

int dns_open(struct dns *d, struct loop *loop, const struct dns_settings *settings)
{
    d->loop = loop;
    d->timer.fire = fired;
    d->credit = CREDIT;
    list_init(&d->sockets);
    list_init(&d->running);
    list_init(&d->pending);
    int r = open_channels(d, settings);
    if (r < 0)
        close_channels(d);
    return r;
}

void dns_close(struct dns *d)
{
    timers_del(&d->loop->timers, &d->timer);
    enter(d);
    d->trouble = d->broken ? -ENOMEM : 0;
    close_channels(d);
    for (struct list *l; (l = list_pop(&d->pending));)
        finish(container_of(l, struct dns_query, link), d->broken ? -ENOMEM : ERR_CLOSED, NULL);
    must(list_empty(&d->running) && list_empty(&d->sockets));
    d->inside = false;
}

/* ---- localhost ---- */

struct local {
    struct dns_query query;
    int code;
    struct ares_addrinfo *found;
};

static void keep(struct dns_query *q, int code, struct ares_addrinfo *found)
{
    struct local *l = container_of(q, struct local, query);
    l->code = code;
    l->found = found;
}

static void nothing(struct dns *d) { (void)d; }

/* The name, then "localhost", then an address that needs no file. */
static void ask_local(struct dns *d, struct local *l)
{
    int family = l->query.family, last = family == AF_INET6 ? AF_INET6 : AF_INET;
    const struct {
        const char *name;
        int family;
    } tries[] = {{l->query.name, family}, {"localhost", family}, {last == AF_INET6 ? "::1" : "127.0.0.1", last}};
    l->code = ERR_NO_HOST;
    for (size_t i = 0; i < ARRAY_LEN(tries) && l->code != 0 && l->code != -ENOMEM; i++) {
        l->query.name = tries[i].name;
        l->query.family = tries[i].family;
        list_init(&l->query.link);
        dns_start(d, &l->query);
    }
}

int dns_localhost(struct loop *loop, const char *name, int family, struct ares_addrinfo **found)
{
    const struct dns_settings hosts_file = {.lookups = "f", .search_count = 0, .ndots = 1};
    struct dns d = {.settled = nothing};
    struct local l = {.query = {.name = name, .family = family, .done = keep}};
    int r = dns_open(&d, loop, &hosts_file);
    if (r < 0)
        return r;
    ask_local(&d, &l);
    dns_close(&d);
    *found = l.found;
    return l.code;
}
