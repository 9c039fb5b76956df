/* SPDX-License-Identifier: MIT */
/* ws_idle.c - an event only links the socket into the loop's list; the work is done when tasks have run, because one of
 * them may be about to do it. The events stay readiness for tasks: both may look, and one finds nothing to do. */
#include "ws/ws_idle.h"

#include "ws/ws_receive.h"

#include <errno.h>

enum { READS = 16 }; /* in a row: then others have their turn */

static bool on_event(struct pollDesc *pd, uint32_t events)
{
    struct ws_socket *w = pd->owner;
    bool may_read = events & ~(uint32_t)POLLER_WRITE || w->c.stream.ops->covers;
    if (may_read)
        w->c.drained = false;
    if ((may_read && !w->c.side[POLL_R].holder) || ws_socket_has_more(w))
        ws_socket_look_after(w);
    return false;
}

/* r: of the last step, which has more to do later; without memory, when something comes. */
static void come_again(struct ws_socket *w, int r)
{
    if (r < 0)
        netpoll_arm(w->c.stream.pd, w->c.stream.again);
    else
        ws_socket_look_after(w);
}

static void leave(struct ws_socket *w)
{
    int r = CONN_GO_ON;
    ws_socket_leave_by_time(w);
    for (int i = 0; i < READS && r == CONN_GO_ON && !w->c.closed; i++)
        r = ws_receive_leave(w);
    if (!w->c.closed)
        come_again(w, r);
}

static void read_controls(struct ws_socket *w)
{
    int r = 0;
    for (int i = 0; i < READS && r == 0; i++)
        r = ws_receive_controls(w);
    if (w->c.closed)
        return;
    buf_release(&w->c.in);
    if (w->ending)
        leave(w);
    else if (r != 1)
        come_again(w, r);
}

static void look_after(struct late *late)
{
    struct ws_socket *w = container_of(late, struct ws_socket, late);
    ws_socket_unpin(w);
    if (w->c.closed)
        return;
    if (w->c.stream.pd->lost) {
        ws_socket_cut(w, -EBADF);
        return;
    }
    if (ws_socket_has_more(w))
        (void)ws_socket_pump(w);
    if (w->c.side[POLL_R].holder)
        return;
    if (w->ending)
        leave(w);
    else
        read_controls(w);
}

void ws_idle_watch(struct ws_socket *w)
{
    w->late.run = look_after;
    netpoll_notify(w->c.stream.pd, on_event, w);
    ws_socket_look_after(w);
}
