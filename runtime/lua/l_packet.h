/* SPDX-License-Identifier: MIT */
/* l_packet.h - the Lua face of packet sockets: UDP and unix datagrams.
 *
 * The userdata is a struct conn of kind CONN_PACKET, so what takes connections (select, the methods
 * that all kinds have, reports) takes packet sockets. */
#ifndef MOONPARK_L_PACKET_H
#define MOONPARK_L_PACKET_H

#include "lua/face.h"

/* Pushes a closed one. NULL: no memory for what it receives. */
struct conn *l_packet_new(lua_State *L, struct ctx *cx);

void l_packet_open(lua_State *L);

#endif
