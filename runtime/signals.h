/* SPDX-License-Identifier: MIT */
/* signals.h - signals as messages through the loop's wake descriptor.
 *
 * Floor 2; calls poller. A signal belongs to the process, so this file holds the only state that is
 * not a context's: which poller to wake and what has come. One loop at a time watches signals. */
#ifndef MOONPARK_SIGNALS_H
#define MOONPARK_SIGNALS_H

#include "poller.h"

/* Catches signo from now on and wakes p when it comes. Those that come before the first was taken are
 * one with it; but a second SIGINT, SIGTERM, SIGQUIT or SIGPIPE then acts as if it were not caught: so a
 * script that never waits can still be stopped. 0 or -errno: -EINVAL for what cannot be caught. */
int signals_watch(struct poller *p, int signo);

/* Was the process started with signo ignored (as a shell's background job, by nohup) and still does? */
bool signals_ignored(int signo);

/* What p watched does again what it did before. */
void signals_forget(struct poller *p);

/* A signal that has come and was not taken yet, or 0. */
int signals_take(struct poller *p);

#endif
