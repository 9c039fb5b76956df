/* SPDX-License-Identifier: MIT */
/* limit_udp.c - the least a UDP echo can cost with a datagram a call: epoll_wait, recvfrom, sendto.
 *
 * usage: limit_udp; prints "listening PORT" on stdout. Takes what is there until there is nothing, as servers do. */
#define _GNU_SOURCE
#include "bench.h"

int main(void)
{
    static char buffer[65536];
    struct epoll_event events[BENCH_EVENTS];
    struct sockaddr_in from;
    int fd = serve_on(SOCK_DGRAM, 0);
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(poller, fd, EPOLLIN | EPOLLET, NULL);
    announce(fd);
    for (;;) {
        epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (;;) {
            socklen_t length = sizeof from;
            ssize_t count = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
            if (count < 0 && errno == EAGAIN)
                break;
            if (count < 0 || sendto(fd, buffer, count, 0, (struct sockaddr *)&from, length) != count)
                die("echo: %s", strerror(errno));
        }
    }
}
