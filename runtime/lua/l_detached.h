/* SPDX-License-Identifier: MIT */
/* l_detached.h - detached child processes, for which no task waits: remembered until they have ended, then reaped. */
#ifndef MOONPARK_L_DETACHED_H
#define MOONPARK_L_DETACHED_H

#include "lua/face.h"

#include <sys/types.h>

struct orphan;

/* Made before the process is started. NULL: no memory. */
struct orphan *l_detached_new(uint64_t creator, const struct site *site);
void l_detached_free(struct orphan *o); /* for one that was not added; may be NULL */

/* The process runs: adds o to the list. */
void l_detached_add(struct ctx *cx, struct orphan *o, pid_t pid);

/* A signal arrived: a SIGCHLD may be for one of them, and only we can reap them. */
void l_detached_signaled(struct ctx *cx, int signo);

/* The Lua state is being closed: forgets them; the processes themselves continue. */
void l_detached_close(struct ctx *cx);

void l_detached_open(lua_State *L); /* adds to the module table on top */

#endif
