/* SPDX-License-Identifier: MIT */
/* addr.h - text to socket address and back.
 *
 * Streams: "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", ":80" (every local address), "unix:/path",
 * "unix:@abstract". Datagrams: the same after "udp:", and "unixgram:/path", "unixgram:@abstract", "unixgram:" (a
 * socket without a name). A host may be a name, which is reported but not looked up here. The zone of an IPv6
 * address is the name or number of an interface; the kernel decides later whether that interface exists. */
#ifndef MOONPARK_ADDR_H
#define MOONPARK_ADDR_H

#include "base/base.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len;
    bool wildcard; /* ":port": every local address, IPv6 and IPv4 */
    bool dgram;
};

enum { ADDR_TEXT_MAX = 128, ADDR_NAME_MAX = 253 };

/* The parts of a text: host and path point into it. */
struct addr_parts {
    const char *host; /* without brackets; or the unix path */
    size_t length;
    int port;         /* -1: unix */
    bool dgram;
    bool bracketed;
    bool name;        /* the host must be looked up */
};

/* Splits n bytes of text into parts. Returns NULL, or a stable text that says what is wrong. */
const char *addr_split(struct addr_parts *parts, const char *text, size_t n);

/* Reads a host without brackets and port. Returns NULL (a's length is 0 for a name), or a stable text that says what is
 * wrong. */
const char *addr_host(struct addr *a, const char *host, size_t n);

/* Reads n bytes of text. Returns NULL, or a stable text that says what is wrong; a name is "not a numeric address". */
const char *addr_parse(struct addr *a, const char *text, size_t n);

/* The same wildcard for hosts without IPv6: 0.0.0.0. */
void addr_wildcard4(struct addr *a);

/* For dialling: ":port" means this machine. */
void addr_loopback4(struct addr *a);

/* Maps an IPv4 address for IPv6 sockets (::ffff:127.0.0.1), and back; other addresses are not changed. */
void addr_map(struct addr *a);
void addr_unmap(struct addr *a);

/* Writes the text form, always terminated; returns its length. An unnamed unix address is "unix:". */
size_t addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX]);

/* Only the host: "127.0.0.1", "fe80::1%eth0". */
size_t addr_format_host(const struct addr *a, char text[static ADDR_TEXT_MAX]);

/* The path to unlink for a named unix address, else NULL. */
const char *addr_path(const struct addr *a);

#endif
