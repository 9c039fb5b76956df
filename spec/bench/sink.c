/* SPDX-License-Identifier: MIT */
/* sink.c - accepts connections and closes them when their other end does: what dials are measured against.
 *
 * usage: sink; prints "listening PORT" on stdout. */
#define _GNU_SOURCE
#include "bench.h"

static void accept_all(int poller, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(poller, fd, EPOLLRDHUP, (void *)(intptr_t)fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept: %s", strerror(errno));
}

int main(void)
{
    struct epoll_event events[BENCH_EVENTS];
    raise_limit();
    int listener = serve_on(SOCK_STREAM, 0);
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(poller, listener, EPOLLIN, NULL);
    announce(listener);
    for (;;) {
        int n = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                close((int)(intptr_t)events[i].data.ptr);
            else
                accept_all(poller, listener);
        }
    }
}
