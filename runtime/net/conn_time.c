/* SPDX-License-Identifier: MIT */
/* conn_time.c - most connections have one timeout or none, so what is by side and by wait is allocated when it is first
 * set. */
#include "net/conn_time.h"

#include "base/errors.h"
#include "base/sys.h"

#include <errno.h>

/* Deadlines that are none yet: nothing may wait; and the timeout counts from the first wait, as most operations find
 * what they want at once and need no clock. */
enum { TRY_ONCE = -1, AT_FIRST_WAIT = -2 };

void conn_renew(const struct conn *c, struct task *t)
{
    int64_t timeout = conn_timeout(c, conn_op_of(t)->side);
    t->op.deadline = timeout < 0 ? 0 : timeout == 0 ? TRY_ONCE : AT_FIRST_WAIT;
}

static int64_t wait_timeout(const struct conn *c, const struct task *t)
{
    return c->times ? c->times->wait[conn_op_of(t)->side] : -1;
}

bool conn_tries_once(const struct conn *c, const struct task *t)
{
    return t->op.deadline == TRY_ONCE || wait_timeout(c, t) == 0;
}

int64_t conn_wait_deadline(const struct conn *c, struct task *t)
{
    if (t->op.deadline == AT_FIRST_WAIT)
        t->op.deadline = clock_add(clock_now(&c->loop->clock), conn_timeout(c, conn_op_of(t)->side));
    int64_t timeout = wait_timeout(c, t), whole = t->op.deadline;
    if (timeout < 0 || whole < 0)
        return whole;
    return timeout == 0 ? TRY_ONCE : conn_sooner(whole, clock_add(clock_now(&c->loop->clock), timeout));
}

static int need_times(struct conn *c)
{
    if (c->times)
        return 0;
    c->times = sys_alloc(sizeof *c->times);
    if (!c->times)
        return -ENOMEM;
    *c->times = (struct conn_times){.whole = {c->timeout, c->timeout}, .wait = {-1, -1}};
    return 0;
}

int conn_set_timeout(struct conn *c, int64_t timeout, int mode, bool each)
{
    bool plain = !each && mode == (MODE_R | MODE_W);
    if (c->closed)
        return ERR_CLOSED;
    int r = plain ? 0 : need_times(c);
    if (r < 0)
        return r;
    if (plain)
        c->timeout = timeout;
    if (!c->times)
        return 0;
    int64_t *of = each ? c->times->wait : c->times->whole;
    if (mode & MODE_R)
        of[POLL_R] = timeout;
    if (mode & MODE_W)
        of[POLL_W] = timeout;
    return 0;
}
