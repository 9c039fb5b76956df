/* SPDX-License-Identifier: MIT */
/* folder.h - what is done with folders: listing, making with what stands above, removing whole trees.
 *
 * Calls buf and sys_file. For helper threads: everything here blocks. All return 0 or -errno. */
#ifndef MOONPARK_FOLDER_H
#define MOONPARK_FOLDER_H

#include "base/buf.h"

/* Appends the entries in the order of their names, without "." and "..": of each a byte for its type (as
 * folder_type; '?' where `types` is false), the name, and a zero byte. *count: how many. */
int folder_list(const char *path, bool types, struct buf *entries, size_t *count);

/* The letter of an st_mode: f(ile), d(irectory), l(ink), s(ocket), p: a FIFO, c: a device. */
char folder_type(unsigned mode);

/* Removes a file, a link or an empty folder; with `tree` also what is in it, links not followed. */
int folder_remove(const char *path, bool tree);

/* Makes a folder; with `parents` also those above it, and it is no error that it is there. */
int folder_make(const char *path, unsigned permissions, bool parents);

#endif
