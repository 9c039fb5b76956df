/* SPDX-License-Identifier: MIT */
/* pollers_linux.c - Linux's pollers, the best first, a line each. Another system has a file like this one, and the
 * Makefile picks. */
#include "loop/poller.h"

#define POLLERS(poller) \
    poller(epoll)       \
    poller(poll)

#define DECLARED(name) extern const struct poller_ops poller_##name;
#define LISTED(name) &poller_##name,

POLLERS(DECLARED)

const struct poller_ops *const pollers[] = {POLLERS(LISTED) NULL};
