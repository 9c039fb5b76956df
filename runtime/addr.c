/* SPDX-License-Identifier: MIT */
/* addr.c - splits at the last colon, then lets inet_pton judge: it takes no short or octal forms. */
#include "addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static bool starts(const char *text, size_t n, const char *prefix)
{
    size_t p = strlen(prefix);
    return n >= p && memcmp(text, prefix, p) == 0;
}

/* 0..65535 in plain digits, or -1. */
static int read_port(const char *text, size_t n)
{
    int port = 0;
    if (n == 0 || n > 5)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        port = port * 10 + (text[i] - '0');
    }
    return port <= 65535 ? port : -1;
}

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

/* Not isalnum(), which knows the user's language. */
static bool is_name_byte(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* Letters, digits, '-', '_' in labels of 1 to 63 bytes. What ends in a
 * label of digits would be an IPv4 address, and is not one of those that inet_pton takes. */
static bool is_name(const char *host, size_t n)
{
    size_t label = 0;
    bool digits = true;
    if (n > 0 && host[n - 1] == '.')
        n--; /* the root */
    if (n == 0 || n > ADDR_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c == '.' ? label == 0 : !is_name_byte(c))
            return false;
        digits = c == '.' ? true : digits && is_digit(c);
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && !digits;
}

/* A copy that ends: inet_pton wants one. False where it is too long for any numeric address. */
static bool terminated(char *to, size_t size, const char *host, size_t n)
{
    if (n >= size)
        return false;
    memcpy(to, host, n);
    to[n] = '\0';
    return true;
}

static bool is_numeric4(const char *host, size_t n, struct in_addr *to)
{
    char text[INET_ADDRSTRLEN];
    return terminated(text, sizeof text, host, n) && inet_pton(AF_INET, text, to) == 1;
}

/* "fe80::1%eth0" or "fe80::1%2": the zone is an interface of this machine. */
static bool is_numeric6(const char *host, size_t n, struct sockaddr_in6 *to)
{
    char text[INET6_ADDRSTRLEN + 1], zone[IF_NAMESIZE];
    const char *percent = memchr(host, '%', n);
    size_t length = percent ? (size_t)(percent - host) : n;
    if (!terminated(text, sizeof text, host, length) || inet_pton(AF_INET6, text, &to->sin6_addr) != 1)
        return false;
    if (!percent)
        return true;
    if (!terminated(zone, sizeof zone, percent + 1, n - length - 1))
        return false;
    int index = read_port(zone, strlen(zone));
    to->sin6_scope_id = index > 0 ? (uint32_t)index : if_nametoindex(zone);
    return to->sin6_scope_id != 0;
}

static const char *split_unix(struct addr_parts *p, const char *path, size_t n)
{
    if (n == 0 && !p->dgram)
        return "missing unix path";
    if (n >= sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path))
        return "unix path too long";
    p->host = path;
    p->length = n;
    p->port = -1;
    return NULL;
}

static const char *split_host(struct addr_parts *p, const char *text, size_t n)
{
    struct sockaddr_in6 six;
    struct in_addr four;
    size_t colon = n;
    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return "missing port";
    p->port = read_port(text + colon, n - colon);
    if (p->port < 0)
        return "invalid port";
    p->bracketed = text[0] == '[';
    size_t from = p->bracketed, to = colon - 1;
    if (p->bracketed && (to < 2 || text[--to] != ']'))
        return "missing ]";
    p->host = text + from;
    p->length = to - from;
    if (p->bracketed)
        return is_numeric6(p->host, p->length, &six) ? NULL : "not a numeric address";
    p->name = p->length > 0 && !is_numeric4(p->host, p->length, &four);
    if (p->name && p->length > ADDR_NAME_MAX + (p->host[p->length - 1] == '.'))
        return "host name too long";
    return !p->name || is_name(p->host, p->length) ? NULL : "invalid host name";
}

const char *addr_split(struct addr_parts *p, const char *text, size_t n)
{
    memset(p, 0, sizeof *p);
    if (memchr(text, 0, n))
        return "zero byte in address";
    if (starts(text, n, "unix:"))
        return split_unix(p, text + 5, n - 5);
    p->dgram = true;
    if (starts(text, n, "unixgram:"))
        return split_unix(p, text + 9, n - 9);
    if (starts(text, n, "udp:"))
        return split_host(p, text + 4, n - 4);
    p->dgram = false;
    return split_host(p, text, n);
}

static void set_unix(struct addr *a, const char *path, size_t n)
{
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (n > 0 && path[0] != '@'));
    if (n > 0 && path[0] == '@')
        a->un.sun_path[0] = '\0';
}

static void set_inet6(struct addr *a, in_port_t port)
{
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_port = port;
    a->len = sizeof a->in6;
}

const char *addr_parse(struct addr *a, const char *text, size_t n)
{
    struct addr_parts p;
    memset(a, 0, sizeof *a);
    const char *wrong = addr_split(&p, text, n);
    if (wrong || p.name)
        return wrong ? wrong : "not a numeric address";
    a->dgram = p.dgram;
    if (p.port < 0) {
        set_unix(a, p.host, p.length);
        return NULL;
    }
    a->wildcard = p.length == 0 && !p.bracketed;
    if (p.bracketed || a->wildcard) {
        (void)(a->wildcard || is_numeric6(p.host, p.length, &a->in6));
        set_inet6(a, htons((uint16_t)p.port));
        return NULL;
    }
    (void)is_numeric4(p.host, p.length, &a->in.sin_addr);
    a->in.sin_family = AF_INET;
    a->in.sin_port = htons((uint16_t)p.port);
    a->len = sizeof a->in;
    return NULL;
}

static void set_ipv4(struct addr *a, uint32_t host)
{
    in_port_t port = a->in6.sin6_port;
    bool wildcard = a->wildcard, dgram = a->dgram;
    memset(a, 0, sizeof *a);
    a->in.sin_family = AF_INET;
    a->in.sin_port = port;
    a->in.sin_addr.s_addr = htonl(host);
    a->len = sizeof a->in;
    a->wildcard = wildcard;
    a->dgram = dgram;
}

void addr_wildcard4(struct addr *a) { set_ipv4(a, INADDR_ANY); }
void addr_loopback4(struct addr *a) { set_ipv4(a, INADDR_LOOPBACK); }

void addr_map(struct addr *a)
{
    uint8_t four[4];
    in_port_t port = a->in.sin_port;
    if (a->any.sa_family != AF_INET)
        return;
    memcpy(four, &a->in.sin_addr, sizeof four);
    memset(&a->in6, 0, sizeof a->in6);
    set_inet6(a, port);
    memset(&a->in6.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&a->in6.sin6_addr.s6_addr[12], four, sizeof four);
}

void addr_unmap(struct addr *a)
{
    uint32_t four;
    if (a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        return;
    memcpy(&four, &a->in6.sin6_addr.s6_addr[12], sizeof four);
    set_ipv4(a, ntohl(four));
}

static size_t put(char *to, const char *words)
{
    size_t n = strlen(words);
    memcpy(to, words, n);
    return n;
}

static size_t format_unix(const struct addr *a, char *text)
{
    size_t at = put(text, a->dgram ? "unixgram:" : "unix:");
    size_t n = a->len > offsetof(struct sockaddr_un, sun_path)
                   ? a->len - offsetof(struct sockaddr_un, sun_path)
                   : 0;
    bool abstract = n > 0 && a->un.sun_path[0] == '\0';
    if (!abstract)
        n = strnlen(a->un.sun_path, n);
    memcpy(text + at, a->un.sun_path, n);
    if (abstract)
        text[at] = '@';
    text[at + n] = '\0';
    return at + n;
}

static size_t put_number(char *to, unsigned number)
{
    char digits[10];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    for (size_t i = 0; i < n; i++)
        to[i] = digits[n - 1 - i];
    return n;
}

/* By hand, because every datagram that is received has its sender's address written. */
static size_t format_inet(const struct addr *a, char *text)
{
    const uint8_t *bytes = (const uint8_t *)&a->in.sin_addr;
    size_t at = put(text, a->dgram ? "udp:" : "");
    for (int i = 0; i < 4; i++) {
        at += put_number(text + at, bytes[i]);
        text[at++] = i < 3 ? '.' : ':';
    }
    at += put_number(text + at, ntohs(a->in.sin_port));
    text[at] = '\0';
    return at;
}

static size_t format_inet6(const struct addr *a, char *text)
{
    char host[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "";
    inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
    if (a->in6.sin6_scope_id && !if_indextoname(a->in6.sin6_scope_id, zone + 1))
        snprintf(zone + 1, sizeof zone - 1, "%u", a->in6.sin6_scope_id);
    zone[0] = a->in6.sin6_scope_id ? '%' : '\0';
    return (size_t)snprintf(text, ADDR_TEXT_MAX, "%s[%s%s]:%u", a->dgram ? "udp:" : "", host, zone,
                            ntohs(a->in6.sin6_port));
}

size_t addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
    switch (a->any.sa_family) {
    case AF_UNIX: return format_unix(a, text);
    case AF_INET: return format_inet(a, text);
    case AF_INET6: return format_inet6(a, text);
    default: return (size_t)snprintf(text, ADDR_TEXT_MAX, "unknown");
    }
}

const char *addr_path(const struct addr *a)
{
    return a->any.sa_family == AF_UNIX && a->un.sun_path[0] ? a->un.sun_path : NULL;
}
