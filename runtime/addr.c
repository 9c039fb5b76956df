/* SPDX-License-Identifier: MIT */
/* addr.c - splits at the last colon, then lets inet_pton judge: it takes no short or octal forms. */
#include "addr.h"

#include <arpa/inet.h>
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

static const char *parse_unix(struct addr *a, const char *path, size_t n)
{
    if (n == 0)
        return "missing unix path";
    if (n >= sizeof a->un.sun_path)
        return "unix path too long";
    if (memchr(path, 0, n))
        return "zero byte in address";
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
    if (path[0] == '@')
        a->un.sun_path[0] = '\0';
    return NULL;
}

static void set_wildcard(struct addr *a, in_port_t port)
{
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_port = port;
    a->len = sizeof a->in6;
    a->wildcard = true;
}

static const char *parse_host(struct addr *a, const char *host, in_port_t port)
{
    if (host[0] == '\0') {
        set_wildcard(a, port);
        return NULL;
    }
    if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = port;
        a->len = sizeof a->in;
        return NULL;
    }
    return "not a numeric address";
}

static const char *parse_host6(struct addr *a, const char *host, in_port_t port)
{
    if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) != 1)
        return "not a numeric address";
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_port = port;
    a->len = sizeof a->in6;
    return NULL;
}

const char *addr_parse(struct addr *a, const char *text, size_t n)
{
    char host[INET6_ADDRSTRLEN + 1];
    memset(a, 0, sizeof *a);
    if (starts(text, n, "unix:"))
        return parse_unix(a, text + 5, n - 5);
    if (starts(text, n, "udp:") || starts(text, n, "unixgram:"))
        return "not a stream address";
    if (memchr(text, 0, n))
        return "zero byte in address";

    size_t colon = n;
    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return "missing port";
    int port = read_port(text + colon, n - colon);
    if (port < 0)
        return "invalid port";
    bool six = text[0] == '[';
    size_t from = six, to = colon - 1;
    if (six && (to < 2 || text[--to] != ']'))
        return "missing ]";
    if (to - from >= sizeof host)
        return "not a numeric address";
    memcpy(host, text + from, to - from);
    host[to - from] = '\0';
    return (six ? parse_host6 : parse_host)(a, host, htons((uint16_t)port));
}

static void set_ipv4(struct addr *a, uint32_t host)
{
    in_port_t port = a->in6.sin6_port;
    bool wildcard = a->wildcard;
    memset(a, 0, sizeof *a);
    a->in.sin_family = AF_INET;
    a->in.sin_port = port;
    a->in.sin_addr.s_addr = htonl(host);
    a->len = sizeof a->in;
    a->wildcard = wildcard;
}

void addr_wildcard4(struct addr *a) { set_ipv4(a, INADDR_ANY); }
void addr_loopback4(struct addr *a) { set_ipv4(a, INADDR_LOOPBACK); }

static size_t format_unix(const struct addr *a, char *text)
{
    size_t n = a->len > offsetof(struct sockaddr_un, sun_path)
                   ? a->len - offsetof(struct sockaddr_un, sun_path)
                   : 0;
    bool abstract = n > 0 && a->un.sun_path[0] == '\0';
    if (!abstract)
        n = strnlen(a->un.sun_path, n);
    memcpy(text, "unix:", 5);
    memcpy(text + 5, a->un.sun_path, n);
    if (abstract)
        text[5] = '@';
    text[5 + n] = '\0';
    return 5 + n;
}

size_t addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    int n = 0;
    if (a->any.sa_family == AF_UNIX)
        return format_unix(a, text);
    if (a->any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host))
        n = snprintf(text, ADDR_TEXT_MAX, "[%s]:%u", host, ntohs(a->in6.sin6_port));
    else if (a->any.sa_family == AF_INET && inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host))
        n = snprintf(text, ADDR_TEXT_MAX, "%s:%u", host, ntohs(a->in.sin_port));
    else
        n = snprintf(text, ADDR_TEXT_MAX, "unknown");
    return (size_t)n;
}

const char *addr_path(const struct addr *a)
{
    return a->any.sa_family == AF_UNIX && a->un.sun_path[0] ? a->un.sun_path : NULL;
}
