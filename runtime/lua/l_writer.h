/* SPDX-License-Identifier: MIT */
/* l_writer.h - the writers of the standard output and the standard error, which other faces write to. */
#ifndef MOONPARK_L_WRITER_H
#define MOONPARK_L_WRITER_H

#include "lua/face.h"
#include "loop/writer.h"

/* Appends whole lines to the standard output (1) or the standard error (2). It waits until they are written if no
 * others were waiting: for `patience` ns at most, and outside of the loop for some seconds. Returns 0, or a negative
 * code: they are lost. */
int l_writer_put(struct ctx *cx, int fd, const struct iovec *parts, int count, int64_t patience);

/* At the program's end: waits until all is written, for a bounded time. */
void l_writer_finish(struct ctx *cx);

/* Writes what is pending, for a bounded time. From now on lines are written at once. */
void l_writer_close(struct ctx *cx);
void l_writer_open(lua_State *L);

#endif
