/* SPDX-License-Identifier: MIT */
/* inotify.h - the changes of a file or a folder as a byte stream of records, to be read by a connection.
 *
 * A record is INOTIFY_RECORD bytes, so that a read of one never ends in the middle of it. The stream ends
 * when the watched file or folder is gone. Linux only. */
#ifndef MOONPARK_INOTIFY_H
#define MOONPARK_INOTIFY_H

#include "net/stream.h"

enum { INOTIFY_NAME = 256 };

struct inotify_record {
    uint32_t mask;   /* the kernel's */
    uint32_t cookie; /* equal in both halves of a move inside the watched folder; else 0 */
    char name[INOTIFY_NAME]; /* the entry in the folder; "": the watched file or folder itself */
};

/* What happened, in the words of docs/fs.md. */
struct inotify_change {
    const char *event;     /* "created", ... */
    const char *direction; /* for "moved": "from", "to", "self"; else NULL */
    bool directory;        /* it happened to a directory */
};

/* Opens s. events: the kernel's mask, made with inotify_mask. Returns 0 or -errno. */
int inotify_open(struct stream *s, const char *path, uint32_t events);

/* The bits for a word; 0: unknown word. */
uint32_t inotify_mask(const char *event);

struct inotify_change inotify_decode(const struct inotify_record *record);

#endif
