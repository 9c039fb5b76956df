/* SPDX-License-Identifier: MIT */
/* http_status.h - what a status code alone determines.
 *
 * Called by h1_frame, h1_exchange and the Lua face of servers. */
#ifndef MOONPARK_HTTP_STATUS_H
#define MOONPARK_HTTP_STATUS_H

#include <stdbool.h>

/* The reason phrase of a status (RFC 9110 15), or "". */
const char *http_status_reason(int status);

/* May a response of that status have a body, unless it answers a HEAD? */
bool http_status_has_body(int status);

#endif
