/* SPDX-License-Identifier: MIT */
/* l_chan.h - channels, as select sees them.
 *
 * A value moves from stack to stack: a parked sender's value is on its own stack, and a parked receiver gets
 * it pushed onto its own stack; if it waits in a select, after the case's number (its waiter's index). Only a
 * channel with a capacity has a table, its environment. */
#ifndef MOONPARK_L_CHAN_H
#define MOONPARK_L_CHAN_H

#include "lua/face.h"

struct chan {
    const void *mark;
    struct list receivers, senders; /* waiters */
    uint32_t capacity, count, head;
    bool closed;
};

/* The channel at idx, or NULL. */
struct chan *l_chan_test(lua_State *L, int idx);

/* Would a send (a receive) finish at once? */
bool l_chan_can_send(const struct chan *ch);
bool l_chan_can_recv(const struct chan *ch);

/* Finishes it at once. idx: the channel's; value: the value's index on L. Pushes the results (a value, or
 * true; nil and "closed") and returns how many. */
int l_chan_send_now(lua_State *L, struct chan *ch, int idx, int value);
int l_chan_recv_now(lua_State *L, struct chan *ch, int idx);

void l_chan_open(lua_State *L);

#endif
