/* SPDX-License-Identifier: MIT */
/* limit_echo.c - the least an echo server can cost: epoll_wait, read, write, and nothing else.
 *
 * usage: limit_echo [PORT]; prints "listening PORT" on stdout when connections are welcome.
 * This is a yardstick, not a server: a short write ends the connection, any surprise ends the process.
 * Level-triggered: edge-triggered measured the same here, and recv and send the same as read and write. */
#define _GNU_SOURCE
#include "bench.h"

enum { BUFFER = 65536 };

static char buffer[BUFFER];

static void add(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_all(int poller, int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
        add(poller, fd);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept: %s", strerror(errno));
}

static void echo(int fd)
{
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0 || write(fd, buffer, count) != count)
        close(fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[BENCH_EVENTS];
    int listener = serve_on(SOCK_STREAM, argc > 1 ? atoi(argv[1]) : 0);
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    add(poller, listener);
    announce(listener);
    for (;;) {
        int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(poller, listener);
            else
                echo(events[i].data.fd);
        }
    }
}
