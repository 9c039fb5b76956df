/* SPDX-License-Identifier: MIT */
/* board.h - the words by which workers that share listeners compare their load, and the rule that they follow.
 *
 * Called by share and its face; there is no loop here. A board is a segment of shared memory with one slot, which is
 * one cache line, for each worker. Every word is read and written whole, so a worker that is killed at any
 * instruction leaves a board that the others can use.
 *
 *   state      means                                    leaves by
 *   ABSENT     nobody has the slot                      board_join: AWAY
 *   ACCEPTING  it is woken for new connections          it is ahead: HOLDING; it declines, or is stuck: AWAY
 *   HOLDING    it leaves them to the others             it is not ahead any more, or nobody accepts: ACCEPTING
 *   AWAY       it may accept, but nobody waits for it   it waits for connections, or accepts one: ACCEPTING
 *
 * Only the worker itself writes its counts. Others may change its state: from HOLDING to ACCEPTING, after which they
 * wake it, and from ACCEPTING to AWAY. While it has the slot, its state changes by compare-and-swap. */
#ifndef MOONPARK_BOARD_H
#define MOONPARK_BOARD_H

#include "base/base.h"

enum board_state { BOARD_ABSENT, BOARD_ACCEPTING, BOARD_HOLDING, BOARD_AWAY };

/* How far a worker may be ahead of the one with the fewest. */
enum {
    BOARD_OPEN = 1,    /* in open connections */
    BOARD_BALANCE = 8, /* in accepted ones */
    BOARD_WORTH = 4,   /* and in accepted ones, for each that it has fewer open than all others who accept */
    BOARD_AGAIN = 4,   /* a holder comes back when it is no further ahead than that in accepted ones */
    BOARD_LAG = 64,    /* what a slow worker is behind in accepted ones beyond this need not be made up for */
};

enum { BOARD_SLOTS = 252 }; /* the most: so one message carries the segment and a descriptor for each slot */

struct board_slot {
    uint32_t state;    /* enum board_state */
    uint32_t pid;
    uint32_t open;     /* connections that it has accepted here, and not closed */
    uint32_t accepted; /* in all */
    uint32_t balance;  /* accepted, and what it was given for the time when it did not accept: only this is compared */
    uint32_t woken;    /* how often the system has woken it for a listener of the share */
    uint32_t stuck;    /* how often another worker has taken it for stuck */
    uint32_t unused[9];
};

struct board {
    uint32_t magic, slots;
    uint32_t unused[14];
    struct board_slot slot[];
};

/* Makes the segment of a board. Returns its descriptor, or -errno. */
int board_make(uint32_t slots);

/* Maps a board. -EINVAL: the descriptor is none. */
int board_map(int fd, struct board **b);
void board_unmap(struct board *b);

/* Copies all slots of a segment. Returns how many, or -errno. */
int board_read(int fd, struct board_slot slots[static BOARD_SLOTS]);

/* Takes a slot, AWAY. -EBUSY: it is taken. */
int board_join(struct board *b, uint32_t slot, uint32_t pid);

/* Gives a slot back: one's own, or that of a worker which has died. */
void board_leave(struct board *b, uint32_t slot);

enum board_state board_state(const struct board *b, uint32_t slot);

/* From one state to another; false: it was not in `from`. */
bool board_change(struct board *b, uint32_t slot, enum board_state from, enum board_state to);

/* The slot waits for connections again: AWAY becomes ACCEPTING. It must make up for at most BOARD_LAG of those that the
 * others have accepted meanwhile. Harmless in other states. */
void board_return(struct board *b, uint32_t slot);

/* Counts a connection, which is open. The slot is not AWAY then. */
void board_accepted(struct board *b, uint32_t slot);
void board_closed(struct board *b, uint32_t slot);
void board_woken(struct board *b, uint32_t slot);

/* Is the slot ahead of those that are neither AWAY nor ABSENT? While it is HOLDING it takes less to be ahead. */
bool board_is_ahead(const struct board *b, uint32_t slot);

/* Holds, if it is ahead and somebody else accepts, or can be made to. Returns true if the slot is HOLDING now.
 * *wake: the slot of a holder that accepts instead and must be woken, or BOARD_SLOTS. */
bool board_hold(struct board *b, uint32_t slot, uint32_t *wake);

/* Makes a holder that is not ahead ACCEPTING. Returns its slot, which must be woken; BOARD_SLOTS: there is none. */
uint32_t board_release(struct board *b);

/* Who shall look for connections that `slot` was woken for and does not take: of the others that accept, the one with
 * the fewest open; otherwise a holder, which is ACCEPTING from now on; otherwise one that is AWAY. It must be woken.
 * BOARD_SLOTS: there is nobody. */
uint32_t board_successor(struct board *b, uint32_t slot);

/* Makes everybody AWAY who is ACCEPTING. Calls told(by, slot) for each of them. */
void board_give_up(struct board *b, void (*told)(void *by, uint32_t slot), void *by);

/* Connections that were accepted by all: while it stays the same, nobody accepts. */
uint32_t board_progress(const struct board *b);

/* How many slots before this one are in use and not AWAY. */
uint32_t board_rank(const struct board *b, uint32_t slot);

#endif
