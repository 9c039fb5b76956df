/* SPDX-License-Identifier: MIT */
/* bench.h - what the yardsticks and loads of the benchmark share. Each is one C file and this header.
 * None of them is a server or a client to be used: any surprise ends the process with a word on stderr. */
#ifndef MOONPARK_BENCH_H
#define MOONPARK_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_EVENTS = 128, BENCH_BACKLOG = 4096 };

static inline _Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static inline int check(int result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, strerror(errno));
    return result;
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static inline struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline int port_of(int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    check(getsockname(fd, (struct sockaddr *)&name, &length), "getsockname");
    return ntohs(name.sin_port);
}

/* A bound socket, non-blocking; a stream one listens. */
static inline int serve_on(int type, int port)
{
    struct sockaddr_in name = loopback(port);
    int yes = 1;
    int fd = check(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
    check(bind(fd, (struct sockaddr *)&name, sizeof name), "bind");
    if (type == SOCK_STREAM)
        check(listen(fd, BENCH_BACKLOG), "listen");
    return fd;
}

/* Says where, for the harness to read. */
static inline void announce(int fd)
{
    printf("listening %d\n", port_of(fd));
    fflush(stdout);
}

static inline void watch(int poller, int fd, unsigned events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

/* A blocking connection. Closing it leaves no TIME_WAIT behind for the next round. */
static inline int dial(int port)
{
    struct sockaddr_in name = loopback(port);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int yes = 1;
    int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
    check(connect(fd, (struct sockaddr *)&name, sizeof name), "connect");
    return fd;
}

static inline void raise_limit(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static inline void *allocate(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p)
        die("out of memory");
    return p;
}

/* The harness writes how many operations to do, a line each; false when it has no more. */
static inline int next_order(long *operations)
{
    char line[64];
    if (!fgets(line, sizeof line, stdin))
        return 0;
    *operations = atol(line);
    return 1;
}

static inline void done(long operations, double began)
{
    printf("done %ld %.6f\n", operations, now() - began);
    fflush(stdout);
}

#endif
