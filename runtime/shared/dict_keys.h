/* SPDX-License-Identifier: MIT */
/* dict_keys.h - a list of a dict's keys, the most recently used first.
 *
 * Called by l_shared. The list is the caller's own memory. */
#ifndef MOONPARK_DICT_KEYS_H
#define MOONPARK_DICT_KEYS_H

#include "shared/dict.h"

struct dict_name {
    int64_t used;
    uint64_t at;     /* in bytes */
    uint32_t length;
    uint32_t number; /* order in which it was found */
};

struct dict_keys { /* zeroed: empty */
    struct dict_name *names;
    uint64_t count, capacity;
    char *bytes;
    uint64_t length, room;
};

/* At most `max` keys that are not over. Those of one shard are in the order of their use; between shards the turns of
 * the loop in which they were used decide. Returns 0 or -ENOMEM. */
int dict_keys(struct dict *d, uint64_t max, struct dict_keys *list);
void dict_keys_fini(struct dict_keys *list); /* leaves it empty */

#endif
