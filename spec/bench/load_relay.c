/* SPDX-License-Identifier: MIT */
/* load_relay.c - both ends of a relay in one process: clients that go through it, and the server behind it.
 *
 * usage: load_relay CONNECTIONS SIZE
 * Prints "listening PORT": where the relay must connect to. Reads the relay's port from stdin, a line, connects through
 * it and runs one operation on each connection. Then it runs each number of operations that arrives. Each time it
 * prints "done OPERATIONS SECONDS". An operation is SIZE bytes to the server, and SIZE
 * bytes back once they have all come. */
#define _GNU_SOURCE
#include "bench.h"

enum { CHUNK = 1 << 20 };

struct end {
    int fd;
    int client;
    size_t to_read, to_write; /* of the message under way */
    long left;                /* a client's: operations still to start */
};

static char incoming[CHUNK], outgoing[CHUNK];
static size_t size;
static int poller, listener;
static long finished;

static void send_some(struct end *e)
{
    while (e->to_write > 0) {
        size_t n = e->to_write < CHUNK ? e->to_write : CHUNK;
        ssize_t sent = send(e->fd, outgoing, n, MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            die("write: %s", strerror(errno));
        e->to_write -= sent;
    }
}

static void begin(struct end *e)
{
    e->left -= e->client;
    e->to_write = size;
    send_some(e);
}

/* A whole message has come: the server answers, a client starts the next. */
static void arrived(struct end *e)
{
    e->to_read = size;
    finished += e->client;
    if (!e->client || e->left > 0)
        begin(e);
}

static void read_some(struct end *e)
{
    for (;;) {
        ssize_t n = recv(e->fd, incoming, e->to_read < CHUNK ? e->to_read : CHUNK, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n == 0 && !e->client) { /* the harness has asked whether the relay listens */
            close(e->fd);
            free(e);
            return;
        }
        if (n <= 0)
            die("read: %s", n < 0 ? strerror(errno) : "closed by the relay");
        e->to_read -= n;
        if (e->to_read == 0)
            arrived(e);
        if (n < CHUNK)
            return;
    }
}

static struct end *add(int fd, int client)
{
    struct end *e = allocate(1, sizeof *e);
    *e = (struct end){.fd = fd, .client = client, .to_read = size};
    watch(poller, fd, EPOLLIN | EPOLLOUT | EPOLLET, e);
    return e;
}

static void turn(void)
{
    struct epoll_event events[BENCH_EVENTS];
    int yes = 1, n = epoll_wait(poller, events, BENCH_EVENTS, -1);
    for (int i = 0; i < n; i++) {
        struct end *e = events[i].data.ptr;
        if (e) {
            send_some(e);
            read_some(e);
            continue;
        }
        int fd = check(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
        add(fd, 0);
    }
}

static void run(struct end **clients, long count, long operations)
{
    double began = now();
    finished = 0;
    for (long i = 0; i < count; i++) {
        clients[i]->left = operations / count + (i < operations % count);
        if (clients[i]->left > 0)
            begin(clients[i]);
    }
    while (finished < operations)
        turn();
    done(operations, began);
}

int main(int argc, char **argv)
{
    long port, operations;
    if (argc != 3)
        die("usage: load_relay CONNECTIONS SIZE");
    long count = atol(argv[1]);
    size = atol(argv[2]);
    if (count < 1 || size < 1)
        die("CONNECTIONS and SIZE must be 1 or more");
    raise_limit();
    listener = serve_on(SOCK_STREAM, 0);
    poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(poller, listener, EPOLLIN, NULL);
    announce(listener);
    if (!next_order(&port))
        return 0;
    struct end **clients = allocate(count, sizeof *clients);
    for (long i = 0; i < count; i++)
        clients[i] = add(dial(port), 1);
    run(clients, count, count); /* every connection is through when each has had its answer */
    while (next_order(&operations))
        run(clients, count, operations);
    return 0;
}
