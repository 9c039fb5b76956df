/* SPDX-License-Identifier: MIT */
/* l_packet.h - the Lua face of packet sockets: UDP and unix datagrams.
 *
 * Floor 10. The userdata is a struct conn of kind CONN_PACKET, so what takes connections (select, the methods
 * that all kinds have, reports) takes packet sockets. */
#ifndef MOONPARK_L_PACKET_H
#define MOONPARK_L_PACKET_H

#include "face.h"

void l_packet_open(lua_State *L);

#endif
