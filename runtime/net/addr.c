/* SPDX-License-Identifier: MIT */
/* addr.c - splits at the last colon, then leaves the check to inet_pton, which takes no short or octal forms.
 * One pass splits the text and fills in the address, because every dial begins with it. */
#include "net/addr.h"

#include "base/sys.h"

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

/* Not isalnum(), which depends on the locale. */
static bool is_name_byte(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool is_hex_digit(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* "127", "0x7f": old resolvers take these as parts of an IPv4 address. */
static bool is_number(const char *label, size_t n)
{
    bool hex = n >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < n; i++)
        if (hex ? !is_hex_digit((unsigned char)label[i]) : !is_digit((unsigned char)label[i]))
            return false;
    return true;
}

/* Letters, digits, '-', '_' in labels of 1 to 63 bytes. A text that ends in a number
 * would be an IPv4 address, but not one that inet_pton takes. */
static bool is_name(const char *host, size_t n)
{
    size_t label = 0;
    if (n > 0 && host[n - 1] == '.')
        n--; /* the root */
    if (n == 0 || n > ADDR_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c == '.' ? label == 0 : !is_name_byte(c))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && !is_number(host + n - label, label);
}

/* Makes a terminated copy, as inet_pton needs. False: too long for any numeric address. */
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

/* A whole number up to INT32_MAX, or 0. */
static int read_index(const char *zone, size_t n)
{
    int64_t index = 0;
    for (size_t i = 0; i < n && n <= 10; i++) {
        if (!is_digit((unsigned char)zone[i]))
            return 0;
        index = index * 10 + (zone[i] - '0');
    }
    return index <= INT32_MAX ? (int)index : 0;
}

/* Reads what follows the '%': the name or number of an interface. An interface that does not exist is not an
 * error of the text: it gets a number that no interface has, and the kernel reports it when the address is used. */
static bool read_zone(const char *zone, size_t n, uint32_t *index)
{
    char name[IF_NAMESIZE];
    if (n == 0 || memchr(zone, '/', n) || !terminated(name, sizeof name, zone, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (zone[i] <= ' ' || zone[i] > '~')
            return false;
    int number = read_index(zone, n);
    if (number == 0)
        number = sys_if_index(name);
    *index = number > 0 ? (uint32_t)number : INT32_MAX;
    return true;
}

/* "::1", "fe80::1%eth0", "fe80::1%2". */
static bool is_numeric6(const char *host, size_t n, struct sockaddr_in6 *to)
{
    char text[INET6_ADDRSTRLEN];
    const char *percent = memchr(host, '%', n);
    size_t length = percent ? (size_t)(percent - host) : n;
    if (!terminated(text, sizeof text, host, length) || inet_pton(AF_INET6, text, &to->sin6_addr) != 1)
        return false;
    return !percent || read_zone(percent + 1, n - length - 1, &to->sin6_scope_id);
}

static const char *read_unix(struct addr_parts *p, struct addr *a, const char *path, size_t n)
{
    if (n == 0 && !p->dgram)
        return "missing unix path";
    if (n >= sizeof a->un.sun_path)
        return "unix path too long";
    p->host = path;
    p->length = n;
    p->port = -1;
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n);
    bool abstract = n > 0 && path[0] == '@';
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (n > 0 && !abstract));
    if (abstract)
        a->un.sun_path[0] = '\0';
    return NULL;
}

static void set_inet6(struct addr *a, int port)
{
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_port = htons((uint16_t)port);
    a->len = sizeof a->in6;
}

static void set_inet(struct addr *a, int port)
{
    a->in.sin_family = AF_INET;
    a->in.sin_port = htons((uint16_t)port);
    a->len = sizeof a->in;
}

/* The host of p, whose port is known. */
static const char *read_host(struct addr_parts *p, struct addr *a)
{
    a->wildcard = p->length == 0 && !p->bracketed;
    if (p->bracketed && !is_numeric6(p->host, p->length, &a->in6))
        return "not a numeric address";
    if (p->bracketed || a->wildcard) {
        set_inet6(a, p->port);
        return NULL;
    }
    if (is_numeric4(p->host, p->length, &a->in.sin_addr)) {
        set_inet(a, p->port);
        return NULL;
    }
    p->name = true;
    if (p->length > ADDR_NAME_MAX + (p->host[p->length - 1] == '.'))
        return "host name too long";
    return is_name(p->host, p->length) ? NULL : "invalid host name";
}

static const char *read_inet(struct addr_parts *p, struct addr *a, const char *text, size_t n)
{
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
    return read_host(p, a);
}

static const char *read_text(struct addr_parts *p, struct addr *a, const char *text, size_t n)
{
    memset(p, 0, sizeof *p);
    memset(a, 0, sizeof *a);
    if (memchr(text, 0, n))
        return "zero byte in address";
    if (starts(text, n, "unix:"))
        return read_unix(p, a, text + 5, n - 5);
    p->dgram = a->dgram = true;
    if (starts(text, n, "unixgram:"))
        return read_unix(p, a, text + 9, n - 9);
    if (starts(text, n, "udp:"))
        return read_inet(p, a, text + 4, n - 4);
    p->dgram = a->dgram = false;
    return read_inet(p, a, text, n);
}

const char *addr_split(struct addr_parts *parts, const char *text, size_t n)
{
    struct addr a;
    return read_text(parts, &a, text, n);
}

const char *addr_parse(struct addr *a, const char *text, size_t n)
{
    struct addr_parts p;
    const char *wrong = read_text(&p, a, text, n);
    return !wrong && p.name ? "not a numeric address" : wrong;
}

const char *addr_host(struct addr *a, const char *host, size_t n)
{
    memset(a, 0, sizeof *a);
    if (memchr(host, 0, n))
        return "zero byte in host name";
    if (is_numeric4(host, n, &a->in.sin_addr)) {
        a->in.sin_family = AF_INET;
        a->len = sizeof a->in;
    } else if (is_numeric6(host, n, &a->in6)) {
        set_inet6(a, 0);
    } else if (n > ADDR_NAME_MAX + (size_t)(n > 0 && host[n - 1] == '.')) {
        return "host name too long";
    } else if (!is_name(host, n)) {
        return "invalid host name";
    }
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
    int port = ntohs(a->in.sin_port);
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
    n = base_min(n, sizeof a->un.sun_path); /* the kernel counts a zero for which there is no room */
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

/* By hand, because the sender's address of every received datagram is formatted. */
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

/* With its zone, if it has one. */
static size_t format_host6(const struct addr *a, char *text)
{
    char host[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "%";
    inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
    if (a->in6.sin6_scope_id == 0)
        zone[0] = '\0';
    else if (sys_if_name(a->in6.sin6_scope_id, zone + 1) < 0)
        snprintf(zone + 1, sizeof zone - 1, "%u", a->in6.sin6_scope_id);
    return (size_t)snprintf(text, ADDR_TEXT_MAX, "%s%s", host, zone);
}

static size_t format_inet6(const struct addr *a, char *text)
{
    char host[ADDR_TEXT_MAX];
    format_host6(a, host);
    return (size_t)snprintf(text, ADDR_TEXT_MAX, "%s[%.80s]:%u", a->dgram ? "udp:" : "", host,
                            ntohs(a->in6.sin6_port));
}

size_t addr_format_host(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
    if (a->any.sa_family == AF_INET6)
        return format_host6(a, text);
    inet_ntop(AF_INET, &a->in.sin_addr, text, ADDR_TEXT_MAX);
    return strlen(text);
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
