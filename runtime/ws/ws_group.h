/* SPDX-License-Identifier: MIT */
/* ws_group.h - many WebSockets that get the same messages.
 *
 * Called by the Lua face. A message is made into a frame once, compressed once for each size of window among the
 * members, and shared by those that cannot take it at once (ws_queue). Masked frames are made for each client.
 *
 * A member is one until it is removed, its socket is over, or the group goes. Neither keeps the other alive. */
#ifndef MOONPARK_WS_GROUP_H
#define MOONPARK_WS_GROUP_H

#include "ws/ws_socket.h"

/* What becomes of a message for a member whose queue is full. */
enum ws_policy {
    WS_DROP,  /* that member does not get it */
    WS_END,   /* the member is closed with 1008 */
    WS_WAIT,  /* it is queued, and the sender waits until all queues have room again */
};

struct ws_group {
    struct loop *loop;
    struct list members;  /* ws_member.in_group */
    struct list waiters;  /* tasks that wait for room */
    size_t most;          /* bytes of a member's queue */
    uint32_t count;
    uint32_t full;        /* members whose queues are fuller than that */
    uint64_t dropped;     /* messages that a member did not get */
    uint8_t policy;       /* enum ws_policy */
};

void ws_group_init(struct ws_group *g, struct loop *loop, size_t most, enum ws_policy policy);
void ws_group_fini(struct ws_group *g); /* nobody waits for it */

/* Makes w a member. Returns 1; 0: it is one already; ERR_CLOSED: it is over; -ENOMEM. */
int ws_group_add(struct ws_group *g, struct ws_socket *w);

/* Returns 1; 0: it was none. */
int ws_group_remove(struct ws_group *g, struct ws_socket *w);

/* Sends a message to all members but one (or NULL). Returns to how many it was sent or queued; or -ENOMEM, ...: then
 * some may not get it. */
int ws_group_send(struct ws_group *g, enum ws_opcode opcode, const char *bytes, size_t n,
                  const struct ws_socket *except);

/* Parks the running task until no queue is too full. deadline: ns, 0: none. Returns SCHED_PARKED; 0: none is; or why it
 * cannot wait. */
int ws_group_wait(struct ws_group *g, struct task *t, int64_t deadline);

void ws_group_check(const struct ws_group *g);

#endif
