/* SPDX-License-Identifier: MIT */
/* l_packet.h - the Lua face of packet sockets: UDP and unix datagrams.
 *
 * The userdata is a struct conn of kind CONN_PACKET, so everything that takes connections (select, the methods
 * of all kinds, reports) takes packet sockets too. */
#ifndef MOONPARK_L_PACKET_H
#define MOONPARK_L_PACKET_H

#include "lua/face.h"

/* Pushes a closed one. NULL: no memory for received datagrams. */
struct conn *l_packet_new(lua_State *L, struct ctx *cx);

void l_packet_open(lua_State *L);

#endif
