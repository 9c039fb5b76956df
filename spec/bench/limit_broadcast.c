/* SPDX-License-Identifier: MIT */
/* limit_broadcast.c - the least that sending to all can cost: what one connection sends is answered by one send call
 * for each connection, with a frame that was made before. It speaks just enough WebSocket for load_ws.
 *
 * usage: limit_broadcast; prints "listening PORT" on stdout. */
#define _GNU_SOURCE
#include "bench.h"

enum { MOST = 65536, SIZE = 70000 };

static int fds[MOST];
static int count;
static char in[SIZE], out[SIZE];

static void accept_all(int poller, int listener)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (count == MOST)
            die("too many connections");
        fds[count] = fd;
        watch(poller, fd, EPOLLIN | EPOLLET, &fds[count++]);
    }
}

static void answer(int fd, ssize_t n)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    if (memcmp(in, "GET ", 4) == 0) {
        check((int)send(fd, head, sizeof head - 1, MSG_NOSIGNAL), "send");
        return;
    }
    int large = (in[1] & 0x7f) > 125, at = (large ? 4 : 2) + 4; /* frames of up to 65535 bytes */
    int length = (int)n - 4;
    memcpy(out, in, at - 4);
    out[1] &= 0x7f;
    for (int i = at; i < n; i++)
        out[i - 4] = in[i] ^ in[at - 4 + (i - at) % 4];
    for (int i = 0; i < count; i++)
        if (send(fds[i], out, length, MSG_NOSIGNAL) != length)
            die("send: %s", strerror(errno));
}

int main(void)
{
    struct epoll_event events[BENCH_EVENTS];
    raise_limit();
    int listener = serve_on(SOCK_STREAM, 0), poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(poller, listener, EPOLLIN, NULL);
    announce(listener);
    for (;;) {
        int n = epoll_wait(poller, events, BENCH_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int *fd = events[i].data.ptr;
            ssize_t got;
            if (!fd)
                accept_all(poller, listener);
            while (fd && (got = recv(*fd, in, sizeof in, 0)) > 0)
                answer(*fd, got);
        }
    }
}
