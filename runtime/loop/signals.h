/* SPDX-License-Identifier: MIT */
/* signals.h - signals as messages through the loop's wake descriptor.
 *
 * Signals belong to the process, so this file holds the only state that is not part of a context: which
 * poller to wake and which signals arrived. One loop at a time watches signals. */
#ifndef MOONPARK_SIGNALS_H
#define MOONPARK_SIGNALS_H

#include "loop/poller.h"

/* Catches signo from now on and wakes p when it arrives; calls are counted. Signals that arrive before the first
 * one was taken merge with it. But unless one of the calls had `kept`, a second SIGINT, SIGTERM, SIGQUIT or
 * SIGPIPE that arrives before then acts as if it were not caught: so a script that never waits can still be
 * stopped. Another loop's poller takes the signal over. Returns 0 or -errno; -EINVAL: cannot be caught. */
int signals_watch(struct poller *p, int signo, bool kept);

/* Undoes one such call. After the last, signo has its former action again; one that arrived and was not taken
 * yet is raised again, so it is never lost. Harmless if p does not watch it. */
void signals_unwatch(struct poller *p, int signo, bool kept);

/* fn(signo, again) is called in the signal handler for each signal that was watched without `kept` alone; again: the
 * one before was not taken yet. If it returns true it has dealt with this one. NULL: nothing is called. */
void signals_look_at(bool (*fn)(int signo, bool again));

/* Gives signo the system's default action instead of what the process had. Not for a watched signal. */
void signals_default(int signo);

/* Was the process started with signo ignored (a shell's background job, nohup), and is it still ignored? */
bool signals_ignored(int signo);

/* Has it arrived and not been taken yet? Safe in signal handlers. */
bool signals_pending(int signo);

/* All signals that p watched have their former action again. */
void signals_forget(struct poller *p);

/* Takes a signal that arrived; 0: there is none. */
int signals_take(struct poller *p);

#endif
