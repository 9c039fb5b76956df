/* SPDX-License-Identifier: MIT */
/* socket.c - one file for TCP and unix streams: they differ in a row of a table.
 * Linux copies NODELAY and keep-alive from a listener to accepted sockets: they are set once, not per client. */
#include "net/socket.h"

#include "base/sys.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

int socket_ready(struct stream *s, int side)
{
    struct pollfd f = {.fd = s->fd, .events = side ? POLLOUT : POLLIN};
    int n;
    do /* "not ready" without having looked would sleep through an edge that is gone */
        n = sys_poll(&f, 1, 0);
    while (n == -EINTR);
    return n;
}

static ssize_t socket_read(struct stream *s, void *bytes, size_t n)
{
    s->again = 0;
    return sys_recv(s->fd, bytes, n);
}

static ssize_t socket_write(struct stream *s, const struct iovec *iov, int count)
{
    s->again = 1;
    return sys_send(s->fd, iov, count);
}

int socket_local(int fd, struct addr *a)
{
    memset(a, 0, sizeof *a);
    a->len = sizeof a->un;
    return sys_getsockname(fd, &a->any, &a->len);
}

int socket_peer(int fd, struct addr *a)
{
    memset(a, 0, sizeof *a);
    a->len = sizeof a->un;
    return sys_getpeername(fd, &a->any, &a->len);
}

int socket_address(const struct stream *s, enum stream_end end, struct addr *a)
{
    return (end == STREAM_PEER ? socket_peer : socket_local)(s->fd, a);
}

static bool socket_has_ended(struct stream *s)
{
    char byte;
    ssize_t got = sys_peek(s->fd, &byte, 1);
    return got <= 0 && got != -EAGAIN;
}

static bool socket_has_lost(struct stream *s)
{
    struct pollfd f = {.fd = s->fd};
    return sys_poll(&f, 1, 0) > 0 && f.revents & (POLLHUP | POLLERR);
}

static void socket_will_reset(struct stream *s)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)sys_setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static int socket_close_write(struct stream *s) { return sys_shutdown(s->fd, SHUT_WR); }
static void socket_close(struct stream *s) { sys_close(s->fd); }

/* A TCP read is cut short only by urgent data, which the poller reports as a hangup. A unix read also
 * stops where the sender's credentials change, so there a short read proves nothing. */
#define SOCKET_OPS(name_, drains_) \
    {.name = name_, .plain = true, .drains = drains_, .read = socket_read, .write = socket_write, \
     .ready = socket_ready, .address = socket_address, .has_ended = socket_has_ended, \
     .has_lost = socket_has_lost, .will_reset = socket_will_reset, \
     .close_write = socket_close_write, .close = socket_close}

static const struct stream_ops socket_tcp = SOCKET_OPS("tcp", true);
static const struct stream_ops socket_unix = SOCKET_OPS("unix", false);

const struct stream_ops *socket_ops(const struct addr *a)
{
    return a->any.sa_family == AF_UNIX ? &socket_unix : &socket_tcp;
}

bool socket_is_unix(const struct stream_ops *ops) { return ops == &socket_unix; }

/* ---- options ---- */

struct option {
    const char *name;
    uint8_t type;
    int level, id;
};

static const struct option options[] = {
    {"broadcast", SOCKET_BOOL, SOL_SOCKET, SO_BROADCAST},
    {"defer_accept", SOCKET_SECONDS, IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {"keepalive", SOCKET_BOOL, SOL_SOCKET, SO_KEEPALIVE},
    {"keepalive_count", SOCKET_INT, IPPROTO_TCP, TCP_KEEPCNT},
    {"keepalive_idle", SOCKET_SECONDS, IPPROTO_TCP, TCP_KEEPIDLE},
    {"keepalive_interval", SOCKET_SECONDS, IPPROTO_TCP, TCP_KEEPINTVL},
    {"linger", SOCKET_LINGER, SOL_SOCKET, SO_LINGER},
    {"multicast_loop", SOCKET_BOOL, IPPROTO_IP, IP_MULTICAST_LOOP},
    {"multicast_ttl", SOCKET_INT, IPPROTO_IP, IP_MULTICAST_TTL},
    {"nodelay", SOCKET_BOOL, IPPROTO_TCP, TCP_NODELAY},
    {"rcvbuf", SOCKET_INT, SOL_SOCKET, SO_RCVBUF},
    {"reuseaddr", SOCKET_BOOL, SOL_SOCKET, SO_REUSEADDR},
    {"reuseport", SOCKET_BOOL, SOL_SOCKET, SO_REUSEPORT},
    {"sndbuf", SOCKET_INT, SOL_SOCKET, SO_SNDBUF},
    {"ttl", SOCKET_INT, IPPROTO_IP, IP_TTL},
    {"v6only", SOCKET_BOOL, IPPROTO_IPV6, IPV6_V6ONLY},
};

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

int socket_option_type(const char *name)
{
    const struct option *o = find_option(name);
    return o ? o->type : -1;
}

const char *socket_option_name(size_t i) { return i < ARRAY_LEN(options) ? options[i].name : NULL; }

/* What an option of IP is called on an IPv6 socket. */
static int name6(const struct option *o)
{
    switch (o->level == IPPROTO_IP ? o->id : 0) {
    case IP_MULTICAST_LOOP: return IPV6_MULTICAST_LOOP;
    case IP_MULTICAST_TTL: return IPV6_MULTICAST_HOPS;
    case IP_TTL: return IPV6_UNICAST_HOPS;
    default: return 0;
    }
}

/* 1 where that name is to be used, 0, or -errno. */
static int is_ipv6(int fd, const struct option *o)
{
    int family = 0;
    socklen_t len = sizeof family;
    int r = name6(o) ? sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) : 0;
    return r < 0 ? r : family == AF_INET6;
}

/* An IPv6 socket may send to both families. One that is for IPv6 only may refuse what is IPv4's. */
static int set_both(int fd, const struct option *o, int value)
{
    int r = sys_setsockopt(fd, IPPROTO_IPV6, name6(o), &value, sizeof value);
    if (r == 0)
        (void)sys_setsockopt(fd, o->level, o->id, &value, sizeof value);
    return r;
}

int socket_set_option(int fd, const char *name, int value)
{
    const struct option *o = find_option(name);
    must(o != NULL);
    int six = is_ipv6(fd, o);
    if (six)
        return six < 0 ? six : set_both(fd, o, value);
    if (o->type != SOCKET_LINGER)
        return sys_setsockopt(fd, o->level, o->id, &value, sizeof value);
    struct linger linger = {.l_onoff = value >= 0, .l_linger = value < 0 ? 0 : value};
    return sys_setsockopt(fd, o->level, o->id, &linger, sizeof linger);
}

int socket_get_option(int fd, const char *name, int *value)
{
    const struct option *o = find_option(name);
    must(o != NULL);
    struct linger linger = {0};
    void *at = o->type == SOCKET_LINGER ? (void *)&linger : (void *)value;
    socklen_t len = o->type == SOCKET_LINGER ? sizeof linger : sizeof *value;
    int six = is_ipv6(fd, o);
    if (six < 0)
        return six;
    int r = sys_getsockopt(fd, six ? IPPROTO_IPV6 : o->level, six ? name6(o) : o->id, at, &len);
    if (r == 0 && o->type == SOCKET_LINGER)
        *value = linger.l_onoff ? linger.l_linger : -1;
    return r;
}

int socket_set_defaults(int fd, int family)
{
    static const struct {
        const char *name;
        int value;
    } defaults[] = {
        {"nodelay", 1}, {"keepalive", 1}, {"keepalive_idle", 15}, {"keepalive_interval", 15}, {"keepalive_count", 9},
    };
    if (family == AF_UNIX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        int r = socket_set_option(fd, defaults[i].name, defaults[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- listening ---- */

static int listen_options(int fd, const struct addr *a, const struct socket_listen_options *o)
{
    int family = a->any.sa_family;
    int r = socket_set_defaults(fd, family);
    if (r == 0 && family != AF_UNIX)
        r = socket_set_option(fd, "reuseaddr", 1);
    if (r == 0 && o->reuseport)
        r = socket_set_option(fd, "reuseport", 1);
    if (r == 0 && family == AF_INET6)
        r = socket_set_option(fd, "v6only", o->v6only || !a->wildcard);
    return r;
}

static int listen_at(const struct addr *a, const struct socket_listen_options *o)
{
    int fd = sys_socket(a->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int r = listen_options(fd, a, o);
    if (r == 0)
        r = sys_bind(fd, &a->any, a->len);
    if (r == 0)
        r = sys_listen(fd, o->backlog > 0 ? o->backlog : INT32_MAX); /* the kernel caps it at somaxconn */
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

int socket_listen(struct addr *a, const struct socket_listen_options *o)
{
    int fd = listen_at(a, o);
    if (!a->wildcard || a->any.sa_family != AF_INET6)
        return fd;
    if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
        return fd;
    addr_wildcard4(a);
    return listen_at(a, o);
}

int socket_new(int family)
{
    int fd = sys_socket(family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int r = socket_set_defaults(fd, family);
    if (r == 0 && family == AF_INET6)
        r = socket_set_option(fd, "v6only", 1);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

int socket_bind(const struct addr *a, bool reuseaddr, bool reuseport, bool v6only)
{
    int fd = sys_socket(a->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    bool inet = a->any.sa_family != AF_UNIX;
    int r = socket_set_defaults(fd, a->any.sa_family);
    if (r == 0 && reuseaddr && inet)
        r = socket_set_option(fd, "reuseaddr", 1);
    if (r == 0 && reuseport && inet)
        r = socket_set_option(fd, "reuseport", 1);
    if (r == 0 && a->any.sa_family == AF_INET6)
        r = socket_set_option(fd, "v6only", v6only || !a->wildcard);
    if (r == 0)
        r = sys_bind(fd, &a->any, a->len);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

/* The client left before we came, or its network did: not our caller's concern. accept(2) has the list, but for EPERM,
 * with which a filter of the system's calls refuses every one: it would be tried again for ever. */
static bool is_lost_client(int r)
{
    return r == -ECONNABORTED || r == -EPROTO || r == -ENETDOWN || r == -ENETUNREACH || r == -EHOSTDOWN ||
           r == -EHOSTUNREACH || r == -ENONET;
}

int socket_accept(int fd, struct addr *peer)
{
    int r;
    do {
        peer->len = sizeof peer->un;
        r = sys_accept(fd, &peer->any, &peer->len);
    } while (is_lost_client(r));
    return r;
}

/* ---- connecting ---- */

int socket_connect(const struct addr *a, const struct addr *local)
{
    int fd = sys_socket(a->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int r = socket_set_defaults(fd, a->any.sa_family);
    if (r == 0 && local)
        r = sys_bind(fd, &local->any, local->len);
    if (r == 0)
        r = sys_connect(fd, &a->any, a->len);
    if (r == 0 || r == -EINPROGRESS)
        return fd;
    sys_close(fd);
    return r;
}

int socket_connected(int fd)
{
    int err = 0;
    socklen_t len = sizeof err;
    int r = sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (r < 0)
        return r;
    if (err == EINPROGRESS || err == EALREADY || err == EINTR)
        return -EINPROGRESS;
    if (err && err != EISCONN)
        return -err;
    struct addr peer; /* SO_ERROR is 0 on a false wake too: only a peer proves a connection */
    r = socket_peer(fd, &peer);
    return r == -ENOTCONN ? -EINPROGRESS : r;
}

bool socket_is_self(int fd)
{
    struct addr a = {0}, b = {0};
    if (socket_local(fd, &a) < 0 || socket_peer(fd, &b) < 0 || a.any.sa_family == AF_UNIX)
        return false;
    return a.len == b.len && memcmp(&a.in6, &b.in6, a.len) == 0;
}
