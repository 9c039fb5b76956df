/* SPDX-License-Identifier: MIT */
/* dns_server.c - answers every A question with 127.0.0.1 and every other one with nothing, over UDP.
 *
 * usage: dns_server; prints "listening PORT" on stdout. */
#define _GNU_SOURCE
#include "bench.h"

#include <poll.h>

enum { HEADER = 12, TYPE_A = 1 };

/* Where the question ends, or 0 where it does not. */
static size_t question_end(const unsigned char *m, size_t n)
{
    size_t at = HEADER;
    while (at < n && m[at] != 0)
        at += m[at] + 1u;
    return at + 5 <= n ? at + 5 : 0;
}

static size_t answer(unsigned char *m, size_t n)
{
    static const unsigned char record[] = {0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    size_t end = n > HEADER ? question_end(m, n) : 0;
    if (end == 0)
        return 0;
    int found = m[end - 4] == 0 && m[end - 3] == TYPE_A;
    m[2] |= 0x80;
    m[3] = 0x80;
    memset(m + 6, 0, 6); /* counts of answers, authorities, additional records */
    m[7] = found;
    if (found)
        memcpy(m + end, record, sizeof record);
    return end + (found ? sizeof record : 0);
}

int main(void)
{
    static unsigned char message[65536];
    struct sockaddr_in from;
    int fd = serve_on(SOCK_DGRAM, 0), room = 8 << 20;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    check(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), "SO_RCVBUF");
    announce(fd);
    while (poll(&waiting, 1, -1) >= 0) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &length);
        size_t size = n > 0 ? answer(message, n) : 0;
        if (size > 0)
            sendto(fd, message, size, 0, (struct sockaddr *)&from, length);
    }
}
