/* SPDX-License-Identifier: MIT */
/* undo.h - a log in shared memory that takes an unfinished change back.
 *
 * Called by chunks and shard, and by dict after a process has died with a lock. Before a word changes, its old value is
 * in the log; undo_commit empties the log, and that single store is the moment at which the change has happened. A
 * process may be killed between any two instructions: then undo_roll_back puts every word back, the last one first.
 *
 * The stores are releases: a processor that sees one has seen those before. What is not reachable by committed words
 * (free memory) may be written without the log. */
#ifndef MOONPARK_UNDO_H
#define MOONPARK_UNDO_H

#include "base/base.h"

enum { UNDO_MOST = 31 }; /* words of one change */

struct undo {
    uint64_t count;
    uint64_t old[UNDO_MOST]; /* where, in words from the base, and the old value */
};

static inline void undo_set(struct undo *u, const void *base, uint32_t *word, uint32_t value)
{
    if (*word == value)
        return;
    uint64_t count = u->count, where = (uint64_t)(word - (const uint32_t *)base);
    must(count < UNDO_MOST);
    __atomic_store_n(&u->old[count], where << 32 | *word, __ATOMIC_RELEASE);
    __atomic_store_n(&u->count, count + 1, __ATOMIC_RELEASE);
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void undo_commit(struct undo *u) { __atomic_store_n(&u->count, 0, __ATOMIC_RELEASE); }

/* Returns false, with nothing changed, if the log itself is damaged. `words`: how many follow the base. May be
 * interrupted and called again. */
bool undo_roll_back(struct undo *u, void *base, uint64_t words);

#endif
