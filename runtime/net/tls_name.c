/* SPDX-License-Identifier: MIT */
/* tls_name.c - stricter than resolvers are: OpenSSL takes a name that begins with a dot for every host below it, and
 * what a script makes of a name, such as a path, has only these letters in it. */
#include "net/tls_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

enum { LABEL = 63 };

static bool is_v4(struct in_addr *to, const struct in6_addr *a)
{
    if (!IN6_IS_ADDR_V4MAPPED(a))
        return false;
    memcpy(to, a->s6_addr + 12, sizeof *to);
    return true;
}

static bool read_address(char *to, const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return inet_ntop(AF_INET, &v4, to, TLS_NAME);
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    return is_v4(&v4, &v6) ? inet_ntop(AF_INET, &v4, to, TLS_NAME) : inet_ntop(AF_INET6, &v6, to, TLS_NAME);
}

static bool is_host(const char *name)
{
    size_t label = 0;
    for (; *name; name++) {
        if (*name == '.' && label == 0)
            return false;
        label = *name == '.' ? 0 : label + 1;
        if (label > LABEL || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *name))
            return false;
    }
    return label > 0;
}

enum tls_name_kind tls_name_read(char to[TLS_NAME], const char *text, size_t n)
{
    to[0] = '\0';
    if (n > 1 && text[n - 1] == '.')
        n--;
    if (n >= TLS_NAME || memchr(text, '\0', n))
        return TLS_NAME_NONE;
    char name[TLS_NAME];
    for (size_t i = 0; i < n; i++)
        name[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 32) : text[i];
    name[n] = '\0';
    if (read_address(to, name))
        return TLS_NAME_ADDRESS;
    if (!is_host(name))
        return TLS_NAME_NONE;
    memcpy(to, name, n + 1);
    return TLS_NAME_HOST;
}

bool tls_name_matches(const char *pattern, const char *name)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(name, '.');
        return dot && dot > name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}
