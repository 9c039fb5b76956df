/* SPDX-License-Identifier: MIT */
/* load_idle.c - keep-alive connections of HTTP that have asked once and say no more.
 *
 * usage: load_idle PORT CONNECTIONS; prints "connected N" when each has had its answer, and keeps them until stdin
 * ends. */
#define _GNU_SOURCE
#include "bench.h"

static void ask(int fd)
{
    static const char request[] = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
    char answer[4096];
    if (send(fd, request, sizeof request - 1, 0) != sizeof request - 1)
        die("write: %s", strerror(errno));
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 12 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
        die("unexpected answer");
}

int main(int argc, char **argv)
{
    long ignored;
    if (argc != 3)
        die("usage: load_idle PORT CONNECTIONS");
    raise_limit();
    for (long i = 0; i < atol(argv[2]); i++)
        ask(dial(atoi(argv[1])));
    printf("connected %s\n", argv[2]);
    fflush(stdout);
    while (next_order(&ignored))
        continue;
    return 0;
}
