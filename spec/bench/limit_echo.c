/* SPDX-License-Identifier: MIT */
/* limit_echo.c - the least an echo server can cost: epoll_wait, read, write, and nothing else.
 *
 * usage: limit_echo [PORT]; prints "listening PORT" on stdout when connections are welcome.
 * This is a yardstick, not a server: a short write ends the connection, any surprise ends the process. */
#include "limit.h"

enum { BUFFER = 65536 };

static char buffer[BUFFER];

static void echo(int fd)
{
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0 || write(fd, buffer, count) != count)
        close(fd);
}

int main(int argc, char **argv) { serve_all(argc > 1 ? atoi(argv[1]) : 0, echo); }
