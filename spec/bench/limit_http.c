/* SPDX-License-Identifier: MIT */
/* limit_http.c - the least an HTTP server can cost: epoll_wait, read, look for the empty line, write a fixed answer.
 *
 * usage: limit_http [PORT]; prints "listening PORT" on stdout. Pipelined requests are answered in one write. It
 * reads no request and holds no part of one back: a yardstick, not a server. */
#define _GNU_SOURCE
#include "bench.h"

enum { BUFFER = 65536 };

static const char answer[] = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 13\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n\r\nHello, World!";
static char in[BUFFER], out[BUFFER];

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

/* As many answers as there are empty lines. */
static void serve(int fd)
{
    size_t n = 0;
    ssize_t count = read(fd, in, sizeof in);
    if (count < 0 && errno == EAGAIN)
        return;
    char *at = in, *end = in + count;
    while (count > 0 && (at = memmem(at, end - at, "\r\n\r\n", 4)) && n + sizeof answer < BUFFER) {
        memcpy(out + n, answer, sizeof answer - 1);
        n += sizeof answer - 1;
        at += 4;
    }
    if (count <= 0 || write(fd, out, n) != (ssize_t)n)
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
                serve(events[i].data.fd);
        }
    }
}
