/* SPDX-License-Identifier: MIT */
/* heartbeat.h - what a loop tells those who watch it: a few words that it writes in every turn.
 *
 * They lie in the loop's own memory, or where another process reads them too. Only the loop writes, with plain stores:
 * each word is whole by itself, and two that are read one after the other may belong to different turns. */
#ifndef MOONPARK_HEARTBEAT_H
#define MOONPARK_HEARTBEAT_H

#include <stdint.h>

struct heartbeat {
    /* clock_real ns when this turn began to run tasks; 0: the loop waits, or has ended */
    volatile uint64_t turn_since_ns;
    /* Counts what tasks were given to do, and wraps around: it stands still while one of them holds
     * the loop. */
    volatile uint32_t resumes;
    uint32_t unused;
};

#endif
