/* SPDX-License-Identifier: MIT */
/* addr_rank.h - which of a name's addresses should be tried first: RFC 6724, 6.
 *
 * The kernel is asked which source address it would use, with a socket that is connected and closed again;
 * nothing is sent. */
#ifndef MOONPARK_ADDR_RANK_H
#define MOONPARK_ADDR_RANK_H

#include "base/base.h"

#include <sys/socket.h>

/* Higher ranks come first; equal ones keep their order. IPv4 and IPv6 addresses only. */
uint32_t addr_rank(const struct sockaddr *to, socklen_t len);

#endif
