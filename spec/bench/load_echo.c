/* SPDX-License-Identifier: MIT */
/* load_echo.c - the load on an echo server: a closed loop over many connections, every byte compared.
 *
 * usage: load_echo PORT CONNECTIONS SIZE [OPERATIONS...]
 * Opens the connections and prints "connected N". Then it runs each number of operations given, or, where none
 * was given, each number that arrives on stdin, a line each, and prints "done OPERATIONS SECONDS". In between the
 * connections are idle, so a harness can look at the server; they are closed when the numbers end.
 * In a run each connection sends a message, waits for the whole echo, and sends the next one. Any surprise ends
 * the process with a message on stderr and status 1. */
#define _GNU_SOURCE
#include "bench.h"

enum { LARGEST = 65536, SPEAK_EVERY = 64 };

struct connection {
    int fd;
    long left;       /* operations still to start in this run */
    size_t got;      /* bytes of the echo that have arrived */
    char *message;   /* what was sent, and so what must come back */
};

static struct connection *connections;
static long connection_count;
static size_t message_size;
static int poller;
static char incoming[LARGEST];

/* No two messages of a connection are equal, nor the tails of two connections. */
static void fill(struct connection *c, long index)
{
    c->message = allocate(1, message_size);
    for (size_t i = 0; i < message_size; i++)
        c->message[i] = 'a' + (index * 7 + i) % 26;
}

static void stamp(struct connection *c)
{
    uint64_t number;
    size_t size = message_size < sizeof number ? message_size : sizeof number;
    memcpy(&number, c->message, size);
    number++;
    memcpy(c->message, &number, size);
}

static void start(struct connection *c)
{
    c->left--;
    c->got = 0;
    stamp(c);
    ssize_t sent = write(c->fd, c->message, message_size);
    if (sent != (ssize_t)message_size)
        die("write: %s", sent < 0 ? strerror(errno) : "short");
}

/* Takes what has arrived; returns 1 when the echo is complete. */
static int finish(struct connection *c, int flags)
{
    ssize_t count = recv(c->fd, incoming, message_size - c->got, flags);
    if (count < 0 && errno == EAGAIN)
        return 0;
    if (count <= 0)
        die("read: %s", count < 0 ? strerror(errno) : "closed by the server");
    if (memcmp(incoming, c->message + c->got, count) != 0)
        die("the echo differs from what was sent");
    c->got += count;
    return c->got == message_size;
}

static void run(long operations)
{
    struct epoll_event events[BENCH_EVENTS];
    double begin = now();
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->left = operations / connection_count + (i < operations % connection_count);
        if (c->left > 0)
            start(c);
    }
    for (long finished = 0; finished < operations;) {
        int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!finish(c, MSG_DONTWAIT))
                continue;
            finished++;
            if (c->left > 0)
                start(c);
        }
    }
    done(operations, begin);
}

/* One exchange, waited for. */
static void speak(struct connection *c)
{
    start(c);
    while (!finish(c, 0))
        continue;
}

/* Some connections speak at once: the server keeps up with the queue, and with the last one has seen them all. */
static void open_all(int port)
{
    connections = allocate(connection_count, sizeof *connections);
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->fd = dial(port);
        fill(c, i);
        if (i % SPEAK_EVERY == SPEAK_EVERY - 1 || i == connection_count - 1)
            speak(c);
    }
}

static void watch_all(void)
{
    poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        watch(poller, c->fd, EPOLLIN | EPOLLET, c);
    }
}

int main(int argc, char **argv)
{
    long operations;
    if (argc < 4)
        die("usage: load_echo PORT CONNECTIONS SIZE [OPERATIONS...]");
    connection_count = atol(argv[2]);
    message_size = atol(argv[3]);
    if (connection_count < 1 || message_size < 1 || message_size > LARGEST)
        die("CONNECTIONS must be 1 or more, SIZE 1..%d", LARGEST);
    raise_limit();
    open_all(atoi(argv[1]));
    watch_all();
    printf("connected %ld\n", connection_count);
    fflush(stdout);
    for (int i = 4; i < argc; i++)
        run(atol(argv[i]));
    while (argc == 4 && next_order(&operations))
        run(operations);
    return 0;
}
