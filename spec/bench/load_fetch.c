/* SPDX-License-Identifier: MIT */
/* load_fetch.c - fetches a file over one keep-alive HTTP connection and throws it away.
 *
 * usage: load_fetch PORT PATH; prints "connected 1", then fetches as often as each number on stdin says, and
 * prints "done FETCHES SECONDS". The bytes are dropped in the kernel: what is measured is who sends them. */
#define _GNU_SOURCE
#include "bench.h"

enum { HEAD_MAX = 4096, CHUNK = 1 << 20 };

/* Reads a response's head, and no byte more; returns its Content-Length. */
static long long read_head(int fd)
{
    char head[HEAD_MAX + 1] = "";
    size_t n = 0;
    while (n < HEAD_MAX && !strstr(head, "\r\n\r\n")) {
        if (recv(fd, head + n, 1, 0) != 1)
            die("read: %s", "no head");
        head[++n] = '\0';
    }
    const char *length = strcasestr(head, "\r\nContent-Length:");
    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || !length)
        die("unexpected head: %s", head);
    return atoll(length + 17);
}

static void fetch(int fd, const char *path)
{
    char request[1024];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path);
    if (send(fd, request, n, 0) != n)
        die("write: %s", strerror(errno));
    for (long long left = read_head(fd); left > 0;) {
        ssize_t got = recv(fd, NULL, left < CHUNK ? left : CHUNK, MSG_TRUNC);
        if (got <= 0)
            die("read: %s", got < 0 ? strerror(errno) : "closed by the server");
        left -= got;
    }
}

int main(int argc, char **argv)
{
    long fetches;
    if (argc != 3)
        die("usage: load_fetch PORT PATH");
    int fd = dial(atoi(argv[1]));
    printf("connected 1\n");
    fflush(stdout);
    while (next_order(&fetches)) {
        double began = now();
        for (long i = 0; i < fetches; i++)
            fetch(fd, argv[2]);
        done(fetches, began);
    }
    return 0;
}
