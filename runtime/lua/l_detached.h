/* SPDX-License-Identifier: MIT */
/* l_detached.h - child processes that nobody waits for: known until they have ended, and reaped then.
 *
 * Called by l_process, the runner and core. */
#ifndef MOONPARK_L_DETACHED_H
#define MOONPARK_L_DETACHED_H

#include "lua/face.h"

#include <sys/types.h>

struct orphan;

/* Prepared before the process is started. NULL: no memory. */
struct orphan *l_detached_new(uint64_t creator, const struct site *site);
void l_detached_free(struct orphan *o); /* of one that was not added; may be NULL */

/* The process runs, and o is the list's. */
void l_detached_add(struct ctx *cx, struct orphan *o, pid_t pid);

/* A signal has come: SIGCHLD may be of one of them, which nobody but us can reap. */
void l_detached_signaled(struct ctx *cx, int signo);

/* The Lua state is being closed: what is known of them goes, they themselves go on. */
void l_detached_close(struct ctx *cx);

void l_detached_open(lua_State *L); /* adds to the module table on top */

#endif
