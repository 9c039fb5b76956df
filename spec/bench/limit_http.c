/* SPDX-License-Identifier: MIT */
/* limit_http.c - the least an HTTP server can cost: epoll_wait, read, look for the empty line, write a fixed answer.
 *
 * usage: limit_http [PORT]; prints "listening PORT" on stdout. Pipelined requests are answered in one write. It
 * reads no request and holds no part of one back: a yardstick, not a server. */
#include "limit.h"

enum { BUFFER = 65536 };

static const char answer[] = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 13\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n\r\nHello, World!";
static char in[BUFFER], out[BUFFER];

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

int main(int argc, char **argv) { serve_all(argc > 1 ? atoi(argv[1]) : 0, serve); }
