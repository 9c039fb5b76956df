/* SPDX-License-Identifier: MIT */
/* addr_rank.h - which of a name's addresses should be tried first: RFC 6724, 6.
 *
 * Called by dns_walk. The kernel is asked from which address it would speak, by a socket that is connected and
 * closed again; nothing is sent. */
#ifndef MOONPARK_ADDR_RANK_H
#define MOONPARK_ADDR_RANK_H

#include "base/base.h"

#include <sys/socket.h>

/* Higher ranks first; equal ones stay in their order. IPv4 and IPv6 addresses only. */
uint32_t addr_rank(const struct sockaddr *to, socklen_t len);

#endif
