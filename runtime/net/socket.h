/* SPDX-License-Identifier: MIT */
/* socket.h - TCP and unix stream sockets: making, listening, accepting, connecting, options.
 *
 * All return 0, a descriptor or a count, or -errno. Nothing here waits.
 * Defaults: NODELAY on, keep-alive 15 s/15 s/9, REUSEADDR on listeners, close-on-exec, non-blocking. */
#ifndef MOONPARK_SOCKET_H
#define MOONPARK_SOCKET_H

#include "net/addr.h"
#include "net/stream.h"

/* The stream of a socket of that family. */
const struct stream_ops *socket_ops(const struct addr *a);

/* The `ready` of every stream of a descriptor, see stream.h. */
int socket_ready(struct stream *s, int side);

bool socket_is_unix(const struct stream_ops *ops);

/* Gives a stream socket of that family the defaults above, but for what listeners have. */
int socket_set_defaults(int fd, int family);

struct socket_listen_options {
    int backlog;    /* 0: the system's most */
    bool reuseport;
    bool v6only;
};

/* A listening descriptor. For ":port" both families, or IPv4 alone where there is no IPv6. */
int socket_listen(struct addr *a, const struct socket_listen_options *options);

/* The next connection's descriptor and its peer's address; clients that are gone already are passed over. */
int socket_accept(int fd, struct addr *peer);

/* Starts to connect from `local` (or NULL). The descriptor: socket_connected tells the outcome. */
int socket_connect(const struct addr *a, const struct addr *local);

/* 0: connected; -EINPROGRESS: not yet; else why not. */
int socket_connected(int fd);

/* True where a TCP socket was connected to itself, which loopback ports make possible. */
bool socket_is_self(int fd);

int socket_local(int fd, struct addr *a);
int socket_peer(int fd, struct addr *a);

/* The `address` of every stream of a socket, see stream.h. */
int socket_address(const struct stream *s, enum stream_end end, struct addr *a);

enum socket_option_type { SOCKET_BOOL, SOCKET_INT, SOCKET_SECONDS, SOCKET_LINGER };

/* What kind of value the option of that name takes, or -1 where there is none of that name. */
int socket_option_type(const char *name);
int socket_set_option(int fd, const char *name, int value); /* linger: seconds, negative: off */
int socket_get_option(int fd, const char *name, int *value);

#endif
