/* SPDX-License-Identifier: MIT */
/* dgram.c - UDP and unix datagrams differ in how addresses are read; the calls are the same.
 * An IPv6 socket takes IPv4 addresses in their mapped form, which callers never see. */
#define _GNU_SOURCE
#include "net/dgram.h"

#include "base/sys.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void dgram_close(struct stream *s) { sys_close(s->fd); }

#define DGRAM_OPS(name_) {.name = name_, .ready = socket_ready, .address = socket_address, .close = dgram_close}

static const struct stream_ops dgram_udp4 = DGRAM_OPS("udp");
static const struct stream_ops dgram_udp6 = DGRAM_OPS("udp");
static const struct stream_ops dgram_unix = DGRAM_OPS("unixgram");

bool dgram_is_unix(const struct stream *s) { return s->ops == &dgram_unix; }

const struct stream_ops *dgram_ops(int family)
{
    return family == AF_UNIX ? &dgram_unix : family == AF_INET6 ? &dgram_udp6 : &dgram_udp4;
}

/* ---- opening ---- */

static int set_options(int fd, const struct addr *a, const struct dgram_options *o)
{
    int family = a->any.sa_family, r = 0;
    if (o->reuseaddr)
        r = socket_set_option(fd, "reuseaddr", 1);
    if (r == 0 && o->reuseport)
        r = socket_set_option(fd, "reuseport", 1);
    if (r == 0 && o->broadcast)
        r = socket_set_option(fd, "broadcast", 1);
    if (r == 0 && family == AF_INET6)
        r = socket_set_option(fd, "v6only", o->v6only || !a->wildcard);
    if (r == 0 && family == AF_UNIX && o->mode >= 0)
        r = sys_fchmod(fd, (uint32_t)o->mode);
    return r;
}

static bool is_unnamed(const struct addr *a)
{
    return a->any.sa_family == AF_UNIX && a->len == offsetof(struct sockaddr_un, sun_path);
}

static int connect_to(int fd, int family, const struct addr *peer)
{
    struct addr a = *peer;
    if (family == AF_INET6)
        addr_map(&a);
    return sys_connect(fd, &a.any, a.len);
}

static int open_at(const struct addr *local, const struct addr *peer, const struct dgram_options *o)
{
    const struct addr *a = local ? local : peer;
    int fd = sys_socket(a->any.sa_family, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    int r = set_options(fd, a, o);
    bool late = a->any.sa_family == AF_UNIX; /* if the peer does not exist, no path is left behind */
    if (r == 0 && peer && late)
        r = connect_to(fd, AF_UNIX, peer);
    if (r == 0 && local && !is_unnamed(local))
        r = sys_bind(fd, &local->any, local->len);
    if (r == 0 && peer && !late)
        r = connect_to(fd, a->any.sa_family, peer);
    if (r == 0)
        return fd;
    sys_close(fd);
    return r;
}

int dgram_open(struct stream *s, struct addr *local, const struct addr *peer, const struct dgram_options *o)
{
    int fd = open_at(local, peer, o);
    if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && local && local->wildcard &&
        local->any.sa_family == AF_INET6) {
        addr_wildcard4(local);
        fd = open_at(local, peer, o);
    }
    if (fd < 0)
        return fd;
    s->ops = dgram_ops((local ? local : peer)->any.sa_family);
    s->fd = fd;
    return 0;
}

int dgram_new(struct stream *s, int family)
{
    int fd = sys_socket(family, SOCK_DGRAM);
    int r = fd >= 0 && family == AF_INET6 ? socket_set_option(fd, "v6only", 1) : 0;
    if (fd >= 0 && r < 0)
        sys_close(fd);
    if (fd < 0 || r < 0)
        return fd < 0 ? fd : r;
    s->ops = dgram_ops(family);
    s->fd = fd;
    return 0;
}

/* ---- receiving ---- */

static void received(struct dgram *d, const char *at, size_t length, socklen_t len)
{
    d->at = at;
    d->length = length;
    d->from.len = (socklen_t)base_min(len, sizeof d->from.un);
    d->from.wildcard = false;
    d->from.dgram = true;
    if (len == 0) { /* a unix sender without a name: the kernel wrote nothing */
        d->from.any.sa_family = AF_UNIX;
        d->from.len = offsetof(struct sockaddr_un, sun_path);
    }
    addr_unmap(&d->from);
}

int dgram_receive(struct stream *s, struct dgrams *ds, size_t n)
{
    struct dgram *d = &ds->got[0];
    socklen_t len = sizeof d->from.un;
    ssize_t length = sys_recv_from(s->fd, ds->bytes, base_min(n, DGRAM_BYTES), &d->from.any, &len);
    if (length < 0)
        return (int)length;
    received(d, ds->bytes, (size_t)length, len);
    return 0;
}

int dgram_receive_many(struct stream *s, struct dgrams *ds, size_t count, size_t n)
{
    struct mmsghdr messages[DGRAM_MANY];
    struct iovec iov[DGRAM_MANY];
    n = base_min(n, DGRAM_BYTES);
    count = base_min(count, base_min(DGRAM_MANY, DGRAM_BYTES / n));
    memset(messages, 0, count * sizeof messages[0]);
    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){.iov_base = ds->bytes + i * n, .iov_len = n};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &ds->got[i].from.any;
        messages[i].msg_hdr.msg_namelen = sizeof ds->got[i].from.un;
    }
    int got = sys_recv_many(s->fd, messages, (unsigned)count);
    for (int i = 0; i < got; i++)
        received(&ds->got[i], iov[i].iov_base, messages[i].msg_len, messages[i].msg_hdr.msg_namelen);
    return got;
}

/* ---- sending ---- */

/* Returns 0, or why s cannot send to that address. Maps IPv4 addresses on an IPv6 socket. */
static int fit(const struct stream *s, struct addr *a)
{
    if (s->ops == &dgram_udp6)
        addr_map(a);
    if (dgram_is_unix(s) != (a->any.sa_family == AF_UNIX))
        return -EAFNOSUPPORT;
    return is_unnamed(a) ? -EDESTADDRREQ : 0; /* a sender without a name cannot be answered */
}

int dgram_send(struct stream *s, const void *bytes, size_t n, const struct addr *to)
{
    struct addr a = {0};
    if (to)
        a = *to;
    int r = to ? fit(s, &a) : 0;
    if (r < 0)
        return r;
    ssize_t sent = sys_send_to(s->fd, bytes, n, to ? &a.any : NULL, a.len);
    return sent < 0 ? (int)sent : 0;
}

int dgram_send_many(struct stream *s, struct dgram_out *out, size_t count)
{
    struct mmsghdr messages[DGRAM_MANY];
    size_t n = 0;
    int r = 0;
    memset(messages, 0, sizeof messages);
    for (; n < count; n++) {
        r = out[n].to.len ? fit(s, &out[n].to) : 0;
        if (r < 0)
            break;
        messages[n].msg_hdr.msg_iov = &out[n].bytes;
        messages[n].msg_hdr.msg_iovlen = 1;
        messages[n].msg_hdr.msg_name = out[n].to.len ? &out[n].to.any : NULL;
        messages[n].msg_hdr.msg_namelen = out[n].to.len;
    }
    return n == 0 ? r : sys_send_many(s->fd, messages, (unsigned)n);
}

/* ---- addresses as text ---- */

static void remember(struct dgram_known *k, const struct addr *a, const char *text, size_t n)
{
    if (n > sizeof k->text)
        return;
    k->address = *a;
    k->length = n;
    memcpy(k->text, text, n);
}

static bool is_text(const struct dgram_known *k, const char *text, size_t n)
{
    return n == k->length && memcmp(text, k->text, n) == 0;
}

static bool is_address(const struct dgram_known *k, const struct addr *a)
{
    return k->length > 0 && k->address.len == a->len && memcmp(&k->address.any, &a->any, a->len) == 0;
}

const char *dgram_parse(const struct stream *s, struct dgrams *ds, struct addr *a, const char *text, size_t n)
{
    const struct dgram_known *k = is_text(&ds->sender, text, n) ? &ds->sender : &ds->target;
    if (n > 0 && is_text(k, text, n)) {
        *a = k->address;
        return NULL;
    }
    const char *wrong = addr_parse(a, text, n);
    if (wrong)
        return wrong;
    if (!a->dgram && (a->any.sa_family == AF_UNIX || dgram_is_unix(s)))
        return "not a datagram address";
    if (a->wildcard)
        addr_loopback4(a);
    a->dgram = true;
    if (text[0] == 'u') /* forms that are valid for one kind of socket only are not cached */
        remember(&ds->target, a, text, n);
    return NULL;
}

const char *dgram_text(struct dgrams *ds, const struct addr *a, size_t *n)
{
    char text[ADDR_TEXT_MAX];
    if (!is_address(&ds->sender, a))
        remember(&ds->sender, a, text, addr_format(a, text));
    *n = ds->sender.length;
    return ds->sender.text;
}

/* ---- groups ---- */

/* Reads a host without a port, by adding one. */
static const char *parse_host(struct addr *a, const char *host)
{
    char text[ADDR_TEXT_MAX];
    const char *form = strchr(host, ':') ? "[%s]:0" : "%s:0";
    int n = snprintf(text, sizeof text, form, host);
    if (n >= (int)sizeof text || !*host)
        return "not a numeric address";
    return addr_parse(a, text, (size_t)n);
}

static bool is_multicast(const struct addr *a)
{
    if (a->any.sa_family == AF_INET)
        return IN_MULTICAST(ntohl(a->in.sin_addr.s_addr));
    return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

static bool parse_interface(struct dgram_group *g, const char *text)
{
    char *end;
    if (inet_pton(AF_INET, text, &g->address) == 1)
        return true;
    unsigned long index = strtoul(text, &end, 10);
    g->index = *end || index > INT32_MAX ? if_nametoindex(text) : (uint32_t)index;
    return g->index > 0;
}

const char *dgram_parse_group(struct dgram_group *g, const char *group, const char *interface)
{
    memset(g, 0, sizeof *g);
    const char *wrong = group ? parse_host(&g->group, group) : NULL;
    if (wrong)
        return wrong;
    if (group && !is_multicast(&g->group))
        return "not a multicast address";
    if (g->group.any.sa_family == AF_INET6)
        g->index = g->group.in6.sin6_scope_id;
    return interface && !parse_interface(g, interface) ? "no such interface" : NULL;
}

static struct ip_mreqn request4(const struct dgram_group *g)
{
    return (struct ip_mreqn){
        .imr_multiaddr = g->group.in.sin_addr, .imr_address = g->address, .imr_ifindex = (int)g->index};
}

static int change(struct stream *s, const struct dgram_group *g, int option4, int option6)
{
    if (g->group.any.sa_family == AF_INET) {
        struct ip_mreqn four = request4(g);
        return sys_setsockopt(s->fd, IPPROTO_IP, option4, &four, sizeof four);
    }
    struct ipv6_mreq six = {.ipv6mr_multiaddr = g->group.in6.sin6_addr, .ipv6mr_interface = g->index};
    return g->address.s_addr ? -ENODEV : sys_setsockopt(s->fd, IPPROTO_IPV6, option6, &six, sizeof six);
}

int dgram_join(struct stream *s, const struct dgram_group *g)
{
    return change(s, g, IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP);
}

int dgram_leave(struct stream *s, const struct dgram_group *g)
{
    return change(s, g, IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP);
}

/* An IPv6 socket may send to groups of both families. */
int dgram_set_interface(struct stream *s, const struct dgram_group *g)
{
    struct ip_mreqn four = request4(g);
    int index = (int)g->index, r = 0;
    if (s->ops == &dgram_udp6 && !g->address.s_addr)
        r = sys_setsockopt(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    if (r == 0 && !(s->ops == &dgram_udp6 && index))
        r = sys_setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_IF, &four, sizeof four);
    return r;
}
