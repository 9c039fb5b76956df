/* SPDX-License-Identifier: MIT */
/* fdstream.h - a byte stream over a descriptor that is not a socket: a pipe, a terminal, a device.
 *
 * The descriptor must be non-blocking. Writing to a pipe without a reader returns -EPIPE and never raises SIGPIPE,
 * whatever the process does with that signal. */
#ifndef MOONPARK_FDSTREAM_H
#define MOONPARK_FDSTREAM_H

#include "net/stream.h"

extern const struct stream_ops fdstream_ops;

#endif
