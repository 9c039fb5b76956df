/* SPDX-License-Identifier: MIT */
/* poller.c - picks a back end by name, the system's best first. */
#include "loop/poller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int poller_open(struct poller **p, const char *name)
{
    for (int i = 0; pollers[i]; i++)
        if (!name || !*name || strcmp(name, pollers[i]->name) == 0)
            return pollers[i]->open(p);
    return -EINVAL;
}

const char *poller_names(char *text, size_t n)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; pollers[i] && at < n; i++)
        at += (size_t)snprintf(text + at, n - at, "%s%s", i > 0 ? ", " : "", pollers[i]->name);
    return text;
}
