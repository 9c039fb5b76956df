/* SPDX-License-Identifier: MIT */
/* poller.c - picks a back end by name, the system's best first. */
#include "loop/poller.h"

#include <errno.h>
#include <string.h>

static const struct poller_ops *const backends[] = {
    &poller_epoll,
    &poller_poll,
};

int poller_open(struct poller **p, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (!name || !*name || strcmp(name, backends[i]->name) == 0)
            return backends[i]->open(p);
    return -EINVAL;
}
