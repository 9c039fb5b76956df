/* SPDX-License-Identifier: MIT */
/* folder.h - operations on folders: listing, making them with their parents, removing whole trees.
 *
 * For helper threads: everything here blocks. All return 0 or -errno. */
#ifndef MOONPARK_FOLDER_H
#define MOONPARK_FOLDER_H

#include "base/buf.h"

/* Appends the entries in the order of their names, without "." and "..": for each a byte for its type (as from
 * folder_type; '?' if `types` is false), the name, and a zero byte. *count: how many. */
int folder_list(const char *path, bool types, struct buf *entries, size_t *count);

/* The letter of an st_mode: f(ile), d(irectory), l(ink), s(ocket), p: a FIFO, c: a device. */
char folder_type(unsigned mode);

/* Removes a file, a link or an empty folder; with `tree` also a folder's content, without following links. */
int folder_remove(const char *path, bool tree);

/* Makes a folder; with `parents` also the folders above it, and it is not an error if it exists. */
int folder_make(const char *path, unsigned permissions, bool parents);

#endif
