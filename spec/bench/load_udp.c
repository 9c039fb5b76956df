/* SPDX-License-Identifier: MIT */
/* load_udp.c - the load on a UDP echo: a closed loop over many sockets, every datagram compared.
 *
 * usage: load_udp PORT SOCKETS SIZE; prints "connected N", then runs each number of operations that arrives on stdin
 * and prints "done OPERATIONS SECONDS". One datagram of each socket is under way, so nothing is dropped on the way;
 * where one gets lost after all, the process says so and ends. */
#define _GNU_SOURCE
#include "bench.h"

enum { LARGEST = 2048, LOST_AFTER = 5000 };

struct client {
    int fd;
    long left;
    uint64_t number;
    char message[LARGEST];
};

static struct client *clients;
static long count;
static size_t size;
static int poller;

static void start(struct client *c)
{
    c->left--;
    c->number++;
    memcpy(c->message, &c->number, sizeof c->number);
    if (send(c->fd, c->message, size, 0) != (ssize_t)size)
        die("send: %s", strerror(errno));
}

static int finish(struct client *c)
{
    char got[LARGEST];
    ssize_t n = recv(c->fd, got, sizeof got, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n != (ssize_t)size || memcmp(got, c->message, size) != 0)
        die("the echo differs from what was sent");
    return 1;
}

static void run(long operations)
{
    struct epoll_event events[BENCH_EVENTS];
    double began = now();
    for (long i = 0; i < count; i++) {
        clients[i].left = operations / count + (i < operations % count);
        if (clients[i].left > 0)
            start(&clients[i]);
    }
    for (long finished = 0; finished < operations;) {
        int n = epoll_wait(poller, events, BENCH_EVENTS, LOST_AFTER);
        if (n == 0)
            die("a datagram was lost");
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!finish(c))
                continue;
            finished++;
            if (c->left > 0)
                start(c);
        }
    }
    done(operations, began);
}

int main(int argc, char **argv)
{
    long operations;
    if (argc != 4)
        die("usage: load_udp PORT SOCKETS SIZE");
    count = atol(argv[2]);
    size = atol(argv[3]);
    if (count < 1 || size < sizeof(uint64_t) || size > LARGEST)
        die("SOCKETS must be 1 or more, SIZE 8..%d", LARGEST);
    struct sockaddr_in server = loopback(atoi(argv[1]));
    clients = allocate(count, sizeof *clients);
    poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (long i = 0; i < count; i++) {
        clients[i].fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
        check(connect(clients[i].fd, (struct sockaddr *)&server, sizeof server), "connect");
        watch(poller, clients[i].fd, EPOLLIN | EPOLLET, &clients[i]);
    }
    printf("connected %ld\n", count);
    fflush(stdout);
    while (next_order(&operations))
        run(operations);
    return 0;
}
