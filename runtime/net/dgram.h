/* SPDX-License-Identifier: MIT */
/* dgram.h - UDP and unix datagram sockets: making, binding, connecting, receiving, sending, groups.
 *
 * Called by conn_packet and the face. All return 0, a count, or -errno. Nothing here waits.
 * What is received lies in the loop's struct dgrams until the next datagram comes: no packet socket has a
 * buffer of its own, and no build cuts a datagram short. Pages of it that no datagram reached cost nothing. */
#ifndef MOONPARK_DGRAM_H
#define MOONPARK_DGRAM_H

#include "net/addr.h"
#include "net/stream.h"

enum {
    DGRAM_MANY = 64,                       /* the most that one call to the system takes */
    DGRAM_MAX = 65536,                     /* more than UDP can carry: what is received at the most, if not said */
    DGRAM_BYTES = DGRAM_MANY * DGRAM_MAX,
};

/* One that was received: its bytes are at `at`, and there are base_min(length, the most asked for) of them. */
struct dgram {
    struct addr from;
    size_t length; /* as it was sent */
    const char *at;
};

/* An address and its text: who answers a datagram names its sender again, and is understood at once. */
struct dgram_known {
    struct addr address;
    size_t length; /* 0: none yet */
    char text[ADDR_TEXT_MAX];
};

struct dgrams {
    struct dgram got[DGRAM_MANY];
    struct dgram_known sender, target; /* the last that was handed out, and that was named in another way */
    char bytes[DGRAM_BYTES];
};

struct dgram_options {
    bool reuseaddr, reuseport, v6only, broadcast;
    int mode; /* permission bits that a unix path gets at the most; negative: what the umask leaves */
};

/* Opens s (zeroed) bound to `local` and connected to `peer`, either of which may be NULL, not both. For
 * ":port" both families, or IPv4 alone where there is no IPv6. */
int dgram_open(struct stream *s, struct addr *local, const struct addr *peer, const struct dgram_options *o);

/* The stream of a datagram socket of that family. */
const struct stream_ops *dgram_ops(int family);

/* Receives one of at most n bytes into ds->got[0]. -EAGAIN: none is there. */
int dgram_receive(struct stream *s, struct dgrams *ds, size_t n);

/* Receives up to `count` of at most n bytes each, without waiting for more than are there. How many. */
int dgram_receive_many(struct stream *s, struct dgrams *ds, size_t count, size_t n);

/* Sends n bytes to an address, or, with NULL, to the peer. */
int dgram_send(struct stream *s, const void *bytes, size_t n, const struct addr *to);

/* One of many to send: to->len 0: to the peer. */
struct dgram_out {
    struct iovec bytes;
    struct addr to;
};

/* Sends up to DGRAM_MANY of them. How many, or why not even the first. */
int dgram_send_many(struct stream *s, struct dgram_out *out, size_t count);

/* True where -EAGAIN means that the queue of an addressee is full, of which nothing will be reported. */
bool dgram_is_unix(const struct stream *s);

/* Reads an address to send to from s: "udp:" may be left out. NULL, or what is wrong with it. */
const char *dgram_parse(const struct stream *s, struct dgrams *ds, struct addr *a, const char *text, size_t n);

/* The text of an address; valid until the next is asked for. */
const char *dgram_text(struct dgrams *ds, const struct addr *a, size_t *n);

/* An interface: "eth0", "2", or an IPv4 address that it has; of that name there may be none. */
struct dgram_group {
    struct addr group;
    uint32_t index;
    struct in_addr address;
};

/* Reads a group ("239.1.2.3", "ff02::1%eth0") or NULL, and an interface or NULL. NULL, or what is wrong. */
const char *dgram_parse_group(struct dgram_group *g, const char *group, const char *interface);

int dgram_join(struct stream *s, const struct dgram_group *g);
int dgram_leave(struct stream *s, const struct dgram_group *g);
int dgram_set_interface(struct stream *s, const struct dgram_group *g); /* where groups are sent to */

#endif
