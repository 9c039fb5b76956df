/* SPDX-License-Identifier: MIT */
/* conn_read.h - the steps of the reads; see conn.h for what a step is and where its result goes.
 *
 * Floor 5; called by conn's frame, which holds the read side for them. */
#ifndef MOONPARK_CONN_READ_H
#define MOONPARK_CONN_READ_H

#include "conn.h"

int conn_read_some(struct conn *c, struct task *t);    /* CONN_READ */
int conn_read_exactly(struct conn *c, struct task *t); /* CONN_EXACTLY */
int conn_read_line(struct conn *c, struct task *t);    /* CONN_LINE */
int conn_read_until(struct conn *c, struct task *t);   /* CONN_UNTIL */
int conn_read_all(struct conn *c, struct task *t);     /* CONN_ALL */

/* One read from the stream into `in`: CONN_GO_ON, -EAGAIN, ERR_EOF, or why not. For steps of other files. */
int conn_read_fill(struct conn *c);

#endif
