/* SPDX-License-Identifier: MIT */
/* ticker.h - a timer whose signal interrupts the thread that opened it.
 *
 * One in a process. It counts real time, and only while it is set. Its signal is one that nobody else catches, and
 * calls into the system that it interrupts continue where the system lets them (SA_RESTART). */
#ifndef MOONPARK_TICKER_H
#define MOONPARK_TICKER_H

#include "base/base.h"

/* From now on tick() is called in a signal handler whenever the timer fires, with errno kept. It may be interrupted by
 * itself. Returns 0 or -errno; -EAGAIN: every signal is caught already. Must be closed. */
int ticker_open(void (*tick)(void));

/* Lets it fire after `period` ns and again after each `period`; 0: stops it. For signal handlers too. */
void ticker_set(int64_t period);

void ticker_close(void);

#endif
