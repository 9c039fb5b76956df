/* SPDX-License-Identifier: MIT */
/* conn_time.h - how long the operations of a connection may take: as a whole, and in each of their waits. Deadlines are
 * netpoll's. */
#ifndef MOONPARK_CONN_TIME_H
#define MOONPARK_CONN_TIME_H

#include "net/conn.h"

/* A timeout in ns of operations that begin from now on; negative: none, 0: they try once. mode: MODE_R | MODE_W; each:
 * for each wait instead of the whole. Returns 0, ERR_CLOSED or -ENOMEM. */
int conn_set_timeout(struct conn *c, int64_t timeout, int mode, bool each);

/* The timeout of the whole of each operation. */
static inline int64_t conn_timeout(const struct conn *c, int side)
{
    return c->times ? c->times->whole[side] : c->timeout;
}

/* t's operation begins or has made progress: the timeout of the whole counts from its next wait. */
void conn_renew(const struct conn *c, struct task *t);

/* May t's operation wait at all? */
bool conn_tries_once(const struct conn *c, const struct task *t);

/* When a wait of t's operation that begins now has to end: 0: never; negative: it may not begin. */
int64_t conn_wait_deadline(const struct conn *c, struct task *t);

/* The earlier one; `deadline` may be none (0). */
static inline int64_t conn_sooner(int64_t deadline, int64_t other)
{
    return deadline > 0 && deadline < other ? deadline : other;
}

#endif
