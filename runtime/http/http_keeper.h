/* SPDX-License-Identifier: MIT */
/* http_keeper.h - an HTTP server's keeper: the task that starts workers where there are too few, logs what accepting
 * has met, and hears of the end.
 *
 * Called by the server's Lua face. http_conn_tell_keeper wakes it. */
#ifndef MOONPARK_HTTP_KEEPER_H
#define MOONPARK_HTTP_KEEPER_H

#include "http/http_conn.h"

/* What the keeper t is told; until `pause` (ns, 0: none) not that workers are missing. SCHED_PARKED; HTTP_NO_WORKER: as
 * many as wait are to be started; HTTP_ACCEPT_FAILED: s->accept_error is to be logged; HTTP_DRAINED: closing, and no
 * connection is left; or why the wait was refused. */
enum { HTTP_NO_WORKER = 2, HTTP_ACCEPT_FAILED, HTTP_DRAINED };
int http_keeper_wait(struct http_server *s, struct task *t, int64_t pause);

#endif
