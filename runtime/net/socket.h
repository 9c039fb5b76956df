/* SPDX-License-Identifier: MIT */
/* socket.h - TCP and unix stream sockets: listening, accepting, connecting, options.
 *
 * All return 0, a descriptor or a count, or -errno. Nothing here waits.
 * Defaults: NODELAY on, keep-alive 15 s/15 s/9, REUSEADDR on listeners, close-on-exec, non-blocking. */
#ifndef MOONPARK_SOCKET_H
#define MOONPARK_SOCKET_H

#include "net/addr.h"
#include "net/stream.h"

/* The stream operations of a socket of a's family. */
const struct stream_ops *socket_ops(const struct addr *a);

/* The `ready` of every stream that has a descriptor, see stream.h. */
int socket_ready(struct stream *s, int side);

bool socket_is_unix(const struct stream_ops *ops);

/* Gives a stream socket of that family the defaults above, except for REUSEADDR. */
int socket_set_defaults(int fd, int family);

struct socket_listen_options {
    int backlog;    /* 0: the system's maximum */
    bool reuseport;
    bool v6only;
};

/* Returns a listening descriptor. ":port" means both families, or only IPv4 if there is no IPv6. */
int socket_listen(struct addr *a, const struct socket_listen_options *options);

/* A stream socket without an address, with what ours have by default; an IPv6 one is for IPv6 alone. */
int socket_new(int family);

/* Returns the descriptor of a stream socket with that local address, which neither listens nor is connected. */
int socket_bind(const struct addr *a, bool reuseaddr, bool reuseport, bool v6only);

/* Returns the next connection's descriptor, and its peer's address. Skips clients that are gone already or were cut
 * off. */
int socket_accept(int fd, struct addr *peer);

/* Starts to connect from `local` (or NULL). Returns the descriptor; socket_connected reports the outcome. */
int socket_connect(const struct addr *a, const struct addr *local);

/* Returns 0: connected; -EINPROGRESS: not yet; otherwise why it failed. */
int socket_connected(int fd);

/* Is a TCP socket connected to itself? Loopback ports make that possible. */
bool socket_is_self(int fd);

int socket_local(int fd, struct addr *a);
int socket_peer(int fd, struct addr *a);

/* The `address` of every stream of a socket, see stream.h. */
int socket_address(const struct stream *s, enum stream_end end, struct addr *a);

enum socket_option_type { SOCKET_BOOL, SOCKET_INT, SOCKET_SECONDS, SOCKET_LINGER };

/* The type of value that the option takes, or -1 if there is no option of that name. */
int socket_option_type(const char *name);
const char *socket_option_name(size_t i); /* of the i-th option, from 0; NULL: there are no more */
int socket_set_option(int fd, const char *name, int value); /* linger: seconds, negative: off */
int socket_get_option(int fd, const char *name, int *value);

#endif
