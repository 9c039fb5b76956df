/* SPDX-License-Identifier: MIT */
/* folder.h - operations on folders: listing, making them with their parents, removing whole trees.
 *
 * For helper threads: everything here blocks. All return 0 or -errno. */
#ifndef MOONPARK_FOLDER_H
#define MOONPARK_FOLDER_H

#include "base/buf.h"

/* What a list tells of each entry. Links are not followed. */
enum folder_detail { FOLDER_NAMES, FOLDER_TYPES, FOLDER_SIZES };

/* What stands behind each entry of a list with FOLDER_SIZES; negative size: the entry is gone by now. */
struct folder_sizes {
    double size, modified; /* bytes; seconds since 1970 */
};

/* Appends the entries in the order of their names, without "." and "..": for each a byte for its type (as from
 * folder_type; '?' with FOLDER_NAMES), the name, a zero byte, and with FOLDER_SIZES the bytes of those. *count: how
 * many. */
int folder_list(const char *path, enum folder_detail detail, struct buf *entries, size_t *count);

/* Where the entry after the one at `at` begins. */
const char *folder_next(const char *at, enum folder_detail detail);

/* The letter of an st_mode: f(ile), d(irectory), l(ink), s(ocket), p: a FIFO, c: a device. */
char folder_type(unsigned mode);

/* Its name; NULL for any other letter. */
const char *folder_type_name(char type);

/* Removes a file, a link or an empty folder; with `tree` also a folder's content, without following links. */
int folder_remove(const char *path, bool tree);

/* Makes a folder; with `parents` also the folders above it, and it is not an error if it exists. */
int folder_make(const char *path, unsigned permissions, bool parents);

#endif
