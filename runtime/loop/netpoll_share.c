/* SPDX-License-Identifier: MIT */
/* netpoll_share.c - leaving cannot fail; coming back can, and the caller has a timer for that. */
#include "loop/netpoll_share.h"

static void leave(struct pollDesc *pd)
{
    if (!pd->out && pd->fd >= 0)
        pd->np->poller->ops->del(pd->np->poller, pd->fd);
    pd->out = true;
}

void netpoll_share(struct pollDesc *pd)
{
    pd->shared = true;
    netpoll_rest(pd);
}

void netpoll_rest(struct pollDesc *pd)
{
    pd->rests = true;
    leave(pd);
}

void netpoll_hold(struct pollDesc *pd)
{
    pd->held = true;
    leave(pd);
}

int netpoll_return(struct pollDesc *pd)
{
    pd->held = false;
    return pd->rests || pd->fd < 0 ? 0 : netpoll_enter(pd);
}
