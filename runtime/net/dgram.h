/* SPDX-License-Identifier: MIT */
/* dgram.h - UDP and unix datagram sockets: making, binding, connecting, receiving, sending, groups.
 *
 * All return 0, a count, or -errno. Nothing here waits. Received datagrams stay in the loop's struct dgrams until
 * the next ones come: packet sockets have no buffers of their own, and no build shortens a datagram. Pages of it
 * that no datagram reached cost no memory. */
#ifndef MOONPARK_DGRAM_H
#define MOONPARK_DGRAM_H

#include "net/addr.h"
#include "net/stream.h"

enum {
    DGRAM_MANY = 64,                       /* the most that one system call takes */
    DGRAM_MAX = 65536,                     /* more than UDP can carry: the default maximum to receive */
    DGRAM_BYTES = DGRAM_MANY * DGRAM_MAX,
};

/* A received datagram: its bytes are at `at`, base_min(length, the maximum asked for) of them. */
struct dgram {
    struct addr from;
    size_t length; /* as sent */
    const char *at;
};

/* An address and its text: the answer to a datagram names its sender again, and needs no parsing then. */
struct dgram_known {
    struct addr address;
    size_t length; /* 0: none yet */
    char text[ADDR_TEXT_MAX];
};

struct dgrams {
    struct dgram got[DGRAM_MANY];
    struct dgram_known sender, target; /* the last sender handed out, and the last other address used */
    char bytes[DGRAM_BYTES];
};

struct dgram_options {
    bool reuseaddr, reuseport, v6only, broadcast;
    int mode; /* the most permission bits of a unix path; negative: left to the umask */
};

/* Opens s (zeroed), bound to `local` and connected to `peer`; one of them may be NULL. ":port" means both
 * families, or only IPv4 if there is no IPv6. */
int dgram_open(struct stream *s, struct addr *local, const struct addr *peer, const struct dgram_options *o);

/* A socket without an address; an IPv6 one is for IPv6 alone. Returns 0, or why not. */
int dgram_new(struct stream *s, int family);

/* The stream of a datagram socket of that family. */
const struct stream_ops *dgram_ops(int family);

/* Receives one datagram of at most n bytes into ds->got[0]. -EAGAIN: there is none. */
int dgram_receive(struct stream *s, struct dgrams *ds, size_t n);

/* Receives up to `count` datagrams of at most n bytes each, without waiting for more. Returns how many. */
int dgram_receive_many(struct stream *s, struct dgrams *ds, size_t count, size_t n);

/* Sends n bytes to an address; NULL: to the peer. */
int dgram_send(struct stream *s, const void *bytes, size_t n, const struct addr *to);

/* One of several datagrams to send. to->len 0: to the peer. */
struct dgram_out {
    struct iovec bytes;
    struct addr to;
};

/* Sends up to DGRAM_MANY of them. Returns how many, or why the first failed. */
int dgram_send_many(struct stream *s, struct dgram_out *out, size_t count);

/* True if -EAGAIN means that a receiver's queue is full, of which no poller reports the end. */
bool dgram_is_unix(const struct stream *s);

/* Reads the address to which s sends; "udp:" may be omitted. Returns NULL, or what is wrong. */
const char *dgram_parse(const struct stream *s, struct dgrams *ds, struct addr *a, const char *text, size_t n);

/* The text of an address; valid until the next call. */
const char *dgram_text(struct dgrams *ds, const struct addr *a, size_t *n);

/* An interface: "eth0", "2", or one of its IPv4 addresses; it may not exist. */
struct dgram_group {
    struct addr group;
    uint32_t index;
    struct in_addr address;
};

/* Reads a group ("239.1.2.3", "ff02::1%eth0") or NULL, and an interface or NULL. Returns NULL, or what is wrong. */
const char *dgram_parse_group(struct dgram_group *g, const char *group, const char *interface);

int dgram_join(struct stream *s, const struct dgram_group *g);
int dgram_leave(struct stream *s, const struct dgram_group *g);
int dgram_set_interface(struct stream *s, const struct dgram_group *g); /* for sending to groups */

#endif
