/* SPDX-License-Identifier: MIT */
/* limit.h - the loop of the yardsticks over TCP: epoll_wait, accept, and what each of them does with a connection that
 * can be read. Level-triggered: edge-triggered measured the same here, and recv and send the same as read and write. */
#ifndef MOONPARK_LIMIT_H
#define MOONPARK_LIMIT_H

#define _GNU_SOURCE
#include "bench.h"

static inline void add(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static inline void accept_all(int poller, int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
        add(poller, fd);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept: %s", strerror(errno));
}

/* Inlined with `serve`, which may close the connection. */
static inline _Noreturn void serve_all(int port, void (*serve)(int fd))
{
    struct epoll_event events[BENCH_EVENTS];
    int listener = serve_on(SOCK_STREAM, port);
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    add(poller, listener);
    announce(listener);
    for (;;) {
        int count = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(poller, listener);
            else
                serve(events[i].data.fd);
        }
    }
}

#endif
