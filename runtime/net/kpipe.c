/* SPDX-License-Identifier: MIT */
/* kpipe.c - a stack of idle pipes: the last one given back is the first one taken.
 * A pipe that still holds bytes is never given back: the next copy's peer would get them. */
#include "net/kpipe.h"

#include "base/sys.h"
#include "base/sys_move.h"

void kpipe_close(struct kpipe *p)
{
    if (p->from >= 0)
        sys_close(p->from);
    if (p->to >= 0)
        sys_close(p->to);
    p->from = p->to = -1;
}

static int kpipe_open(struct kpipe *p)
{
    int fds[2];
    int r = sys_pipe(fds);
    if (r < 0)
        return r;
    p->from = fds[0];
    p->to = fds[1];
    (void)sys_set_pipe_size(p->to, KPIPE_SIZE); /* a smaller one does, only slower */
    return 0;
}

void kpipes_join(struct kpipes *ps) { ps->users++; }

void kpipes_leave(struct kpipes *ps)
{
    must(ps->users > 0);
    if (--ps->users > 0)
        return;
    while (ps->count > 0)
        kpipe_close(&ps->idle[--ps->count]);
}

int kpipes_take(struct kpipes *ps, struct kpipe *p)
{
    if (ps->count == 0)
        return kpipe_open(p);
    *p = ps->idle[--ps->count];
    return 0;
}

void kpipes_give(struct kpipes *ps, struct kpipe *p)
{
    if (ps->count == KPIPE_IDLE) {
        kpipe_close(p);
        return;
    }
    ps->idle[ps->count++] = *p;
    p->from = p->to = -1;
}
