/* SPDX-License-Identifier: MIT */
/* limit_echo.c - the least an echo server can cost: epoll_wait, read, write, and nothing else.
 *
 * usage: limit_echo [PORT]; prints "listening PORT" on stdout when connections are welcome.
 * This is a yardstick, not a server: a short write ends the connection, any surprise ends the process.
 * Level-triggered: edge-triggered measured the same here, and recv and send the same as read and write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 128, BUFFER = 65536, BACKLOG = 4096 };

static char buffer[BUFFER];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int check(int result, const char *what)
{
    if (result < 0)
        die(what);
    return result;
}

static int listen_on(int port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
    check(bind(fd, (struct sockaddr *)&name, sizeof name), "bind");
    check(listen(fd, BACKLOG), "listen");
    return fd;
}

static void announce(int listener)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    check(getsockname(listener, (struct sockaddr *)&name, &length), "getsockname");
    printf("listening %d\n", ntohs(name.sin_port));
    fflush(stdout);
}

static void watch(int poller, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_all(int poller, int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
        watch(poller, fd, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
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
    struct epoll_event events[EVENTS];
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    int poller = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(poller, listener, EPOLLIN);
    announce(listener);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(poller, listener);
            else
                echo(events[i].data.fd);
        }
    }
}
