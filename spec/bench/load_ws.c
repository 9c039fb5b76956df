/* SPDX-License-Identifier: MIT */
/* load_ws.c - the load on a WebSocket server: echoes in a closed loop over many connections, every byte compared; or
 * messages that the server sends to all.
 *
 * usage: load_ws PORT CONNECTIONS SIZE echo|all [OPERATIONS...]
 * Opens the connections, shakes hands on each and prints "connected N". Then it runs each number of operations given,
 * or, where none was given, each number that arrives on stdin, a line each, and prints "done OPERATIONS SECONDS".
 *
 *   echo   each connection sends a masked message, waits for the whole echo, and sends the next one
 *   all    the first connection sends a message; when it has come back on every connection, the next one
 *
 * Any surprise ends the process with a message on stderr and status 1. */
#define _GNU_SOURCE
#include "bench.h"

enum { LARGEST = 65536, HEAD = 14 };

struct connection {
    int fd;
    long left;
    size_t got; /* bytes of the frame that have arrived */
};

static struct connection *connections;
static long connection_count;
static size_t message_size, sent_size, frame_size;
static char sent[LARGEST + HEAD], expected[LARGEST + HEAD], incoming[LARGEST + HEAD];
static int poller;

/* A frame of the message; returns its length. key: 4 bytes, or NULL. */
static size_t make_frame(char *to, const char *key)
{
    size_t n = 0;
    to[n++] = (char)0x82;
    to[n++] = (char)((message_size < 126 ? message_size : message_size < 65536 ? 126 : 127) | (key ? 0x80 : 0));
    for (int i = message_size < 126 ? 0 : message_size < 65536 ? 2 : 8; i > 0; i--)
        to[n++] = (char)((uint64_t)message_size >> 8 * (i - 1));
    if (key)
        memcpy(to + n, key, 4);
    n += key ? 4 : 0;
    for (size_t i = 0; i < message_size; i++)
        to[n + i] = (char)(('a' + i % 26) ^ (key ? key[i % 4] : 0));
    return n + message_size;
}

static void start(struct connection *c)
{
    ssize_t n = write(c->fd, sent, sent_size);
    if (n != (ssize_t)sent_size)
        die("write: %s", n < 0 ? strerror(errno) : "short");
}

/* Takes what has arrived; returns 1 when the frame is complete. */
static int finish(struct connection *c, int flags)
{
    ssize_t n = recv(c->fd, incoming, frame_size - c->got, flags);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        die("read: %s", n < 0 ? strerror(errno) : "closed by the server");
    if (memcmp(incoming, expected + c->got, n) != 0)
        die("the message differs from what was sent");
    c->got += n;
    if (c->got < frame_size)
        return 0;
    c->got = 0;
    return 1;
}

static void run_echo(long operations)
{
    struct epoll_event events[BENCH_EVENTS];
    double begin = now();
    for (long i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->left = operations / connection_count + (i < operations % connection_count);
        if (c->left-- > 0)
            start(c);
    }
    for (long finished = 0; finished < operations;) {
        int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!finish(c, MSG_DONTWAIT))
                continue;
            finished++;
            if (c->left-- > 0)
                start(c);
        }
    }
    done(operations, begin);
}

static void run_all(long operations)
{
    struct epoll_event events[BENCH_EVENTS];
    double begin = now();
    for (long i = 0; i < operations; i++) {
        start(&connections[0]);
        for (long finished = 0; finished < connection_count;) {
            int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
            for (int k = 0; k < count; k++)
                finished += finish(events[k].data.ptr, MSG_DONTWAIT);
        }
    }
    done(operations, begin);
}

static void shake_hands(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char answer[1024];
    size_t n = 0;
    if (write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1)
        die("write: %s", strerror(errno));
    do {
        ssize_t got = read(fd, answer + n, 1);
        if (got <= 0 || ++n == sizeof answer)
            die("no handshake");
    } while (n < 4 || memcmp(answer + n - 4, "\r\n\r\n", 4) != 0);
    if (memcmp(answer, "HTTP/1.1 101", 12) != 0)
        die("refused: %.12s", answer);
}

static void open_all(int port)
{
    connections = allocate(connection_count, sizeof *connections);
    poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (long i = 0; i < connection_count; i++) {
        connections[i].fd = dial(port);
        shake_hands(connections[i].fd);
        watch(poller, connections[i].fd, EPOLLIN | EPOLLET, &connections[i]);
    }
}

int main(int argc, char **argv)
{
    long operations;
    if (argc < 5)
        die("usage: load_ws PORT CONNECTIONS SIZE echo|all [OPERATIONS...]");
    connection_count = atol(argv[2]);
    message_size = atol(argv[3]);
    if (connection_count < 1 || message_size < 1 || message_size > LARGEST)
        die("CONNECTIONS must be 1 or more, SIZE 1..%d", LARGEST);
    void (*run)(long) = strcmp(argv[4], "all") == 0 ? run_all : run_echo;
    sent_size = make_frame(sent, "\x12\x34\x56\x78");
    frame_size = make_frame(expected, NULL);
    raise_limit();
    open_all(atoi(argv[1]));
    printf("connected %ld\n", connection_count);
    fflush(stdout);
    for (int i = 5; i < argc; i++)
        run(atol(argv[i]));
    while (argc == 5 && next_order(&operations))
        run(operations);
    return 0;
}
