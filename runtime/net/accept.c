/* SPDX-License-Identifier: MIT */
/* accept.c - lists the errors that pass; retrying on an unknown one could go on for ever. */
#include "net/accept.h"

#include "base/clock.h"

#include <errno.h>

static const int64_t FIRST = 5 * NS_PER_SECOND / 1000, LONGEST = NS_PER_SECOND;

int64_t accept_pause(int error, int64_t last)
{
    if (error != -EMFILE && error != -ENFILE && error != -ENOBUFS && error != -ENOMEM)
        return 0;
    return last <= 0 ? FIRST : last < LONGEST / 2 ? 2 * last : LONGEST;
}
