/* SPDX-License-Identifier: MIT */
/* stream.c - a function that a stream lacks is looked up in the streams below. A stir is an event like the poller's, so
 * that notify functions (an HTTP server's) receive it; it is delivered late, because a step must not run those. */
#include "net/stream.h"

#include <errno.h>

void stream_placed(struct stream *s)
{
    if (s->ops->placed)
        s->ops->placed(s);
}

void stream_set_pd(struct stream *s, struct pollDesc *pd)
{
    for (; s; s = stream_below(s))
        s->pd = pd;
}

void stream_disown(struct stream *s)
{
    for (; s; s = stream_below(s))
        s->fd = -1;
}

static void report(struct late *late)
{
    struct stream_over *o = container_of(late, struct stream_over, late);
    uint32_t events = o->events;
    o->events = 0;
    if (o->below.pd)
        netpoll_stir(o->below.pd, events);
}

int stream_cover(struct stream *s, const struct stream_layer *l, struct loop *loop, bool accepts)
{
    struct stream_over *o = l->make(l, accepts);
    if (!o)
        return -ENOMEM;
    o->below = *s;
    o->loop = loop;
    o->late.run = report;
    list_init(&o->late.link);
    stream_placed(&o->below);
    *s = (struct stream){.ops = l->ops, .pd = o->below.pd, .own = o, .fd = o->below.fd};
    stream_placed(s);
    return 0;
}

int stream_handshake(struct stream *s)
{
    for (; s; s = stream_below(s))
        if (s->ops->handshake)
            return s->ops->handshake(s);
    return 0;
}

int stream_address(const struct stream *s, enum stream_end end, struct addr *a)
{
    for (; s; s = stream_below(s))
        if (s->ops->address)
            return s->ops->address(s, end, a);
    return -ENOTSOCK;
}

bool stream_has_ended(struct stream *s)
{
    for (; s; s = stream_below(s))
        if (s->ops->has_ended)
            return s->ops->has_ended(s);
    return false;
}

bool stream_has_lost(struct stream *s)
{
    for (; s; s = stream_below(s))
        if (s->ops->has_lost)
            return s->ops->has_lost(s);
    return false;
}

void stream_will_reset(struct stream *s)
{
    for (; s; s = stream_below(s))
        if (s->ops->will_reset) {
            s->ops->will_reset(s);
            return;
        }
}
