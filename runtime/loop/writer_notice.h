/* SPDX-License-Identifier: MIT */
/* writer_notice.h - what a writer writes about lines that were lost.
 *
 * Called by writer. */
#ifndef MOONPARK_WRITER_NOTICE_H
#define MOONPARK_WRITER_NOTICE_H

#include "base/buf.h"

/* Appends the form, in which "%t" becomes the time (RFC 3339), "%n" the number of lines, and "%r" why they were lost:
 * the text of the error, or, if it is 0, that the queue was full. Each may be in there once. Returns 0 or -ENOMEM. */
int writer_notice(struct buf *b, const char *form, uint64_t lines, int error);

#endif
