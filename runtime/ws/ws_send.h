/* SPDX-License-Identifier: MIT */
/* ws_send.h - the operation that sends a message, or a fragment of one, as one frame; and the one of a ping.
 *
 * Called by the Lua face. A frame that leaves in part only is the end of the socket. */
#ifndef MOONPARK_WS_SEND_H
#define MOONPARK_WS_SEND_H

#include "ws/ws_socket.h"

/* The parameters of a send. The bytes stay where they are until it ends. */
struct ws_sending {
    const char *bytes;
    size_t n;           /* of them; once it has begun: of what leaves */
    uint8_t key[WS_KEY];
    uint8_t first;      /* the frame's first byte */
    uint8_t head;       /* bytes of the frame's head */
    bool begun;
    bool packed;        /* what leaves is in pack->packed */
};

/* The parameters of a ping, n bytes, which stay where they are until it ends. */
struct ws_pinging {
    const char *bytes;
    size_t n;
};

/* ws_ping: for a socket that is full; others take a ping at once, see ws_socket_control. */
extern const struct conn_op ws_send, ws_ping;

/* Prepares op and its parameters: a frame of n bytes. opcode: WS_TEXT, WS_BINARY, or WS_CONTINUATION; last: the message
 * ends with it. */
void ws_send_prepare(struct ws_socket *w, struct task *t, enum ws_opcode opcode, const char *bytes, size_t n,
                     bool last);

/* The operation has ended, with t->wait.result: notes what that means for the socket. Returns 0, or why it failed.
 * Harmless twice. */
int ws_send_ended(struct task *t);

#endif
