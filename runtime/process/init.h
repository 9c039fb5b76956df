/* SPDX-License-Identifier: MIT */
/* init.h - process 1 of a container: two duties that no program thinks of.
 *
 * Every process whose parent has ended becomes a child of process 1, which must reap it. And no signal has its default
 * action there: without a handler SIGTERM does nothing. So the program runs in a child, where signals act as
 * everywhere and every child is its own; process 1 passes signals on, reaps, and ends with the program. */
#ifndef MOONPARK_INIT_H
#define MOONPARK_INIT_H

#include "base/base.h"

/* Called once, before the process has threads or opens descriptors. If this process is process 1, or a subreaper, it
 * stays behind, and the call returns in a child. What LISTEN_PID and WATCHDOG_PID said of the process they then say of
 * the child. Returns 0; or why there is no child: then the process goes on alone. */
int init_start(void);

#endif
