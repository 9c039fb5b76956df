/* SPDX-License-Identifier: MIT */
/* dict_keys.c - each shard gives its newest, then they are sorted: `max` of one shard may be newer than all of the
 * others. */
#include "shared/dict_keys.h"

#include "base/sys.h"

#include <errno.h>
#include <stdlib.h>

static int grow(void **memory, uint64_t *have, uint64_t want, size_t size)
{
    if (want <= *have)
        return 0;
    uint64_t more = want + want / 2;
    void *grown = sys_realloc(*memory, more * size);
    if (!grown)
        return -ENOMEM;
    *memory = grown;
    *have = more;
    return 0;
}

static int append(struct dict_keys *list, const struct shard *s, uint32_t n)
{
    const struct shard_entry *e = shard_entry(s, n);
    void *names = list->names, *bytes = list->bytes;
    int r = grow(&names, &list->capacity, list->count + 1, sizeof *list->names);
    list->names = names;
    if (r == 0)
        r = grow(&bytes, &list->room, list->length + e->key_length, 1);
    list->bytes = bytes;
    if (r < 0)
        return r;
    list->names[list->count] = (struct dict_name){
        .used = e->used, .at = list->length, .length = e->key_length, .number = (uint32_t)list->count};
    shard_read_key(s, n, list->bytes + list->length);
    list->count++;
    list->length += e->key_length;
    return 0;
}

static int take_some(struct dict_keys *list, const struct dict *d, const struct shard *s, uint64_t max)
{
    uint32_t n = s->head->newest;
    for (uint64_t taken = 0; n != 0 && taken < max; n = shard_entry(s, n)->older) {
        if (dict_is_over(d, shard_entry(s, n)))
            continue;
        int r = append(list, s, n);
        if (r < 0)
            return r;
        taken++;
    }
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct dict_name *x = a, *y = b;
    if (x->used != y->used)
        return x->used > y->used ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int dict_keys(struct dict *d, uint64_t max, struct dict_keys *list)
{
    int r = 0;
    for (uint32_t i = 0; i < d->shards && r == 0; i++) {
        const struct shard *s = dict_take(d, i);
        r = take_some(list, d, s, max);
        dict_drop(s);
    }
    if (r == 0 && d->shards > 1)
        qsort(list->names, list->count, sizeof *list->names, newest_first);
    if (list->count > max)
        list->count = max;
    return r;
}

void dict_keys_fini(struct dict_keys *list)
{
    sys_free(list->names);
    sys_free(list->bytes);
    *list = (struct dict_keys){0};
}
