/* SPDX-License-Identifier: MIT */
/* addr_rank.c - the rules are bits of one number, in the order of their weight. An IPv4 address is treated as the
 * IPv6 address that it maps to, so that one table has both. */
#include "net/addr_rank.h"

#include "base/sys.h"

#include <netinet/in.h>
#include <string.h>

enum { LINK_LOCAL = 2, SITE_LOCAL = 5, GLOBAL = 14 };

/* The default policy table, 2.1, longest prefixes first. */
static const struct {
    uint8_t prefix[16];
    uint8_t bits, precedence, label;
} policies[] = {
    {{[15] = 1}, 128, 50, 0},              /* ::1 */
    {{[10] = 0xff, 0xff}, 96, 35, 4},      /* IPv4 */
    {{0}, 96, 1, 3},                       /* IPv4-compatible */
    {{0x20, 0x01}, 32, 5, 5},              /* Teredo */
    {{0x20, 0x02}, 16, 30, 2},             /* 6to4 */
    {{0x3f, 0xfe}, 16, 1, 12},             /* 6bone */
    {{0xfe, 0xc0}, 10, 1, 11},             /* site-local */
    {{0xfc}, 7, 3, 13},                    /* unique local */
    {{0}, 0, 40, 1},
};

/* The length of the common prefix, in bits. */
static unsigned common_bits(const uint8_t *a, const uint8_t *b)
{
    unsigned n = 0;
    while (n < 128 && ((a[n / 8] ^ b[n / 8]) & (0x80 >> n % 8)) == 0)
        n++;
    return n;
}

static size_t policy_of(const uint8_t *address)
{
    size_t i = 0;
    while (common_bits(address, policies[i].prefix) < policies[i].bits)
        i++;
    return i;
}

static void as_ipv6(uint8_t *to, const struct sockaddr *from)
{
    if (from->sa_family == AF_INET6) {
        memcpy(to, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
        return;
    }
    memset(to, 0, 10);
    memset(to + 10, 0xff, 2);
    memcpy(to + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
}

/* 3.1, 3.2: loopback counts as link-local. */
static unsigned scope_of(const uint8_t *a, bool ipv4)
{
    if (ipv4)
        return a[12] == 127 || (a[12] == 169 && a[13] == 254) ? LINK_LOCAL : GLOBAL;
    if (a[0] == 0xff)
        return a[1] & 15;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return LINK_LOCAL;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0)
        return SITE_LOCAL;
    return policies[policy_of(a)].bits == 128 ? LINK_LOCAL : GLOBAL;
}

/* The source address that the kernel would use; false: it cannot reach that address. */
static bool find_source(const struct sockaddr *to, socklen_t len, struct sockaddr_in6 *source)
{
    socklen_t room = sizeof *source;
    int fd = sys_socket(to->sa_family, SOCK_DGRAM);
    if (fd < 0)
        return false;
    bool found = sys_connect(fd, to, len) == 0 && sys_getsockname(fd, (struct sockaddr *)source, &room) == 0;
    sys_close(fd);
    return found;
}

uint32_t addr_rank(const struct sockaddr *to, socklen_t len)
{
    uint8_t there[16], here[16];
    struct sockaddr_in6 source;
    bool ipv4 = to->sa_family == AF_INET;
    as_ipv6(there, to);
    size_t policy = policy_of(there);
    unsigned scope = scope_of(there, ipv4);
    uint32_t rank = (uint32_t)policies[policy].precedence << 16 | (15 - scope) << 8; /* rules 6, 8 */
    if (!find_source(to, len, &source))
        return rank;
    as_ipv6(here, (struct sockaddr *)&source);
    rank |= 1u << 26;                                                                /* rule 1 */
    rank |= (uint32_t)(scope_of(here, ipv4) == scope) << 25;                         /* rule 2 */
    rank |= (uint32_t)(policies[policy_of(here)].label == policies[policy].label) << 24; /* rule 5 */
    return ipv4 ? rank : rank | common_bits(here, there);                            /* rule 9 */
}
