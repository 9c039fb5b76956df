/* SPDX-License-Identifier: MIT */
/* signals.h - signals as messages through the loop's wake descriptor.
 *
 * Calls poller. A signal belongs to the process, so this file holds the only state that is
 * not a context's: which poller to wake and what has come. One loop at a time watches signals. */
#ifndef MOONPARK_SIGNALS_H
#define MOONPARK_SIGNALS_H

#include "loop/poller.h"

/* Catches signo from now on and wakes p when it comes; once more for each call. Those that come before the
 * first was taken are one with it. But while nobody watches it with `kept`, a second SIGINT, SIGTERM, SIGQUIT
 * or SIGPIPE that comes before acts as if it were not caught: so a script that never waits can still be
 * stopped. Another loop's poller takes the signal over. 0 or -errno: -EINVAL for what cannot be caught. */
int signals_watch(struct poller *p, int signo, bool kept);

/* Takes one such call back. After the last, signo does again what it did before; one that has come and was
 * not taken yet comes again, and so is never lost. Harmless where p does not watch it. */
void signals_unwatch(struct poller *p, int signo, bool kept);

/* The system's action instead of what the process had before. Not of one that is watched. */
void signals_default(int signo);

/* Was the process started with signo ignored (as a shell's background job, by nohup) and still does? */
bool signals_ignored(int signo);

/* Has it come, and was it not taken yet? For signal handlers too. */
bool signals_pending(int signo);

/* What p watched does again what it did before. */
void signals_forget(struct poller *p);

/* A signal that has come and was not taken yet, or 0. */
int signals_take(struct poller *p);

#endif
