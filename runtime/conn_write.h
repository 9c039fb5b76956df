/* SPDX-License-Identifier: MIT */
/* conn_write.h - the step of a write; see conn.h for what a step is.
 *
 * Floor 6; called by conn's frame, which holds the write side for it. */
#ifndef MOONPARK_CONN_WRITE_H
#define MOONPARK_CONN_WRITE_H

#include "conn.h"

int conn_write_strings(struct conn *c, struct task *t); /* CONN_WRITE */

#endif
