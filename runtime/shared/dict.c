/* SPDX-License-Identifier: MIT */
/* dict.c - one shard is taken, looked at, changed and dropped in each call. Where things are follows from the file's
 * size alone, so nothing in the segment can lead out of it. */
#include "shared/dict.h"

#include "base/sys.h"

#include <errno.h>
#include <string.h>

enum { ROOM = 4096, ROOM_KEPT = 65536 };

/* ---- where things are ---- */

static uint32_t shards_of(uint64_t size)
{
    uint32_t shards = 1;
    while (shards < DICT_SHARDS_MAX && shards * UINT64_C(2) * DICT_SHARD_SIZE <= size)
        shards *= 2;
    return shards;
}

static struct shard shard_number(const struct segment *s, uint32_t n)
{
    struct shard_plan plan = shard_plan((s->size - SEGMENT_CONTENTS) / shards_of(s->size));
    return shard_at(&plan, s->base + SEGMENT_CONTENTS + n * plan.size);
}

static void lay_out(struct segment *s)
{
    for (uint32_t n = 0; n < shards_of(s->size); n++) {
        struct shard shard = shard_number(s, n);
        shard_lay_out(&shard);
    }
}

/* ---- locks ---- */

/* A process that died of a wild pointer may have left anything: what cannot be trusted is emptied. */
static void repair(struct dict *d, const struct shard *s)
{
    struct shard_head *h = s->head;
    if (undo_roll_back(&h->undo, h, s->words) && !shard_fault(s, d->segment.seed, d->marks, d->key)) {
        h->repaired++;
    } else {
        memset(s->buckets, 0, ((size_t)s->mask + 1) * sizeof *s->buckets);
        h->newest = h->oldest = h->entries = 0;
        chunks_lay_out(&s->chunks);
        undo_commit(&h->undo);
        h->emptied++;
    }
}

const struct shard *dict_take(struct dict *d, uint32_t n)
{
    const struct shard *s = &d->shard[n];
    if (plock_take(&s->head->lock, d->segment.alive, d->segment.me))
        repair(d, s);
    return s;
}

void dict_drop(const struct shard *s) { plock_drop(&s->head->lock); }

/* ---- opening and closing ---- */

static int allocate(struct dict *d)
{
    d->room = sys_alloc(ROOM);
    d->room_size = ROOM;
    d->shards = shards_of(d->segment.size);
    d->shard = sys_alloc(d->shards * sizeof *d->shard);
    d->key = sys_alloc(SHARD_KEY_MAX);
    if (!d->room || !d->shard || !d->key)
        return -ENOMEM;
    for (uint32_t n = 0; n < d->shards; n++)
        d->shard[n] = shard_number(&d->segment, n);
    d->marks = sys_alloc(((size_t)d->shard->chunks.count + 7) / 8);
    return d->marks ? 0 : -ENOMEM;
}

/* The last one who had our place may have died with locks: they are ours now. */
static void release_inherited(struct dict *d)
{
    for (uint32_t n = 0; n < d->shards; n++) {
        const struct shard *s = &d->shard[n];
        if (__atomic_load_n(&s->head->lock.owner, __ATOMIC_ACQUIRE) != d->segment.me)
            continue;
        repair(d, s);
        dict_drop(s);
    }
}

int dict_open(struct dict *d, int fd, const char *name, uint64_t size)
{
    must(size >= DICT_SIZE_MIN);
    struct segment_want want = {.kind = "dict", .name = name, .size = size, .lay_out = lay_out};
    int r = segment_open(&d->segment, fd, &want);
    if (r != 0)
        return r;
    r = allocate(d);
    if (r == 0)
        release_inherited(d);
    if (r == 0 && dict_fault(d))
        r = SEGMENT_DAMAGED;
    if (r != 0)
        dict_close(d);
    return r;
}

void dict_close(struct dict *d)
{
    segment_close(&d->segment);
    sys_free(d->room);
    sys_free(d->marks);
    sys_free(d->key);
    sys_free(d->shard);
    d->shard = NULL;
    d->room = d->key = NULL;
    d->marks = NULL;
}

struct shard_key dict_key(const struct dict *d, const char *bytes, uint64_t length)
{
    must(length > 0 && length <= SHARD_KEY_MAX);
    return (struct shard_key){.bytes = bytes, .length = length, .hash = shard_hash(d->segment.seed, bytes, length)};
}

/* The upper bits say which shard, the lower ones which bucket. */
static const struct shard *take_of(struct dict *d, const struct shard_key *k)
{
    return dict_take(d, (uint32_t)(k->hash >> 54) & (d->shards - 1));
}

/* ---- entries ---- */

static void forget(struct dict *d, const struct shard *s, uint32_t n, bool *evicted)
{
    bool over = dict_is_over(d, shard_entry(s, n));
    shard_remove(s, n);
    shard_commit(s);
    if (over) {
        s->head->expired++;
    } else {
        s->head->evicted++;
        *evicted = true;
    }
}

/* 0: there is none. One that is over goes, or is *over. */
static uint32_t find(struct dict *d, const struct shard *s, const struct shard_key *k, uint32_t *over)
{
    uint32_t n = shard_find(s, k);
    *over = 0;
    if (n == 0 || !dict_is_over(d, shard_entry(s, n)))
        return n;
    bool evicted;
    if (d->keeps_over)
        *over = n;
    else
        forget(d, s, n, &evicted);
    return 0;
}

/* The same; what is over goes in any case. */
static uint32_t find_for_write(struct dict *d, const struct shard *s, const struct shard_key *k)
{
    uint32_t over;
    uint32_t n = find(d, s, k, &over);
    bool evicted;
    if (over != 0)
        forget(d, s, over, &evicted);
    return n;
}

/* Chunks that are freed are written only after that was committed: so each goes by itself. */
static void make_room(struct dict *d, const struct shard *s, uint64_t chunks, uint32_t spared, bool *evicted)
{
    while (s->head->free.count < chunks) {
        uint32_t n = s->head->oldest;
        if (n == spared)
            n = shard_entry(s, n)->newer;
        must(n != 0); /* half of the chunks are not the spared one's */
        forget(d, s, n, evicted);
    }
}

/* Those that are over go, but for the spared one, until so many chunks are free, or so many went; 0: all. */
static uint64_t flush_over(struct dict *d, const struct shard *s, uint64_t chunks, uint32_t spared, uint64_t max)
{
    uint64_t gone = 0;
    bool evicted;
    uint32_t newer;
    for (uint32_t n = s->head->oldest; n != 0; n = newer) {
        if ((chunks != 0 && s->head->free.count >= chunks) || (max != 0 && gone == max))
            break;
        newer = shard_entry(s, n)->newer;
        if (n == spared || !dict_is_over(d, shard_entry(s, n)))
            continue;
        forget(d, s, n, &evicted);
        gone++;
    }
    return gone;
}

/* Without evicting. The old version may have to go first; a process that dies then leaves none. */
static bool make_room_gently(struct dict *d, const struct shard *s, const struct shard_key *k, uint64_t chunks,
                             uint32_t *old)
{
    if (s->head->free.count < chunks)
        flush_over(d, s, chunks, *old, 0);
    if (s->head->free.count >= chunks)
        return true;
    if (*old == 0)
        return false;
    struct shard_value v = shard_value(s, *old);
    if (s->head->free.count + shard_needs(k, &v) < chunks)
        return false;
    shard_remove(s, *old);
    shard_commit(s);
    *old = 0;
    return true;
}

static int64_t end_of(const struct dict *d, int64_t ttl) { return ttl ? clock_add(clock_now(d->clock), ttl) : 0; }

/* The new version is whole before the old one goes. */
static int put(struct dict *d, const struct shard *s, const struct shard_key *k, uint32_t old, struct dict_write *w)
{
    int64_t expires = end_of(d, w->ttl);
    uint64_t chunks = shard_needs(k, &w->value);
    if (old != 0 && w->value.type == SHARD_NUMBER && shard_entry(s, old)->type == SHARD_NUMBER) {
        shard_set_number(s, old, w->value.number);
        shard_set_expires(s, old, expires);
        shard_touch(s, old, *d->turn);
    } else {
        if (chunks > shard_most(s))
            return DICT_NO_ROOM;
        if (!w->gently)
            make_room(d, s, chunks, old, &w->evicted);
        else if (!make_room_gently(d, s, k, chunks, &old))
            return DICT_NO_ROOM;
        shard_add(s, k, &w->value, expires, *d->turn);
        if (old != 0)
            shard_remove(s, old);
    }
    shard_commit(s);
    return 0;
}

/* ---- calls ---- */

/* Returns 1 if the string fits now, else 0: room is to be made without the lock. */
static int copy_out(struct dict *d, const struct shard *s, uint32_t n, struct shard_value *v)
{
    *v = shard_value(s, n);
    if (v->type == SHARD_STRING) {
        if (v->length > d->room_size)
            return 0;
        shard_read(s, n, d->room);
        v->bytes = d->room;
    }
    return 1;
}

static int grow_room(struct dict *d, uint64_t size)
{
    char *room = sys_realloc(d->room, size);
    if (!room)
        return -ENOMEM;
    d->room = room;
    d->room_size = size;
    return 0;
}

int dict_get_stale(struct dict *d, const struct shard_key *k, struct shard_value *v, bool *stale)
{
    if (d->room_size > ROOM_KEPT)
        (void)grow_room(d, ROOM);
    while (true) {
        const struct shard *s = take_of(d, k);
        uint32_t over;
        uint32_t n = find(d, s, k, &over);
        if (stale && (*stale = over != 0))
            n = over;
        if (n != 0) {
            shard_touch(s, n, *d->turn);
            shard_commit(s);
        }
        int done = n == 0 || copy_out(d, s, n, v);
        dict_drop(s);
        if (done)
            return n != 0;
        if (grow_room(d, v->length) < 0)
            return -ENOMEM;
    }
}

int dict_get(struct dict *d, const struct shard_key *k, struct shard_value *v)
{
    return dict_get_stale(d, k, v, NULL);
}

static int refusal(const struct shard *s, uint32_t n, const struct dict_write *w)
{
    switch (w->how) {
    case DICT_ADD:
        return n != 0 ? DICT_EXISTS : 0;
    case DICT_REPLACE:
        return n == 0 ? DICT_NOT_FOUND : 0;
    case DICT_COMPARE:
        if (w->old.type == SHARD_NONE)
            return n != 0 ? DICT_CHANGED : 0;
        return n == 0 || !shard_equals(s, n, &w->old) ? DICT_CHANGED : 0;
    default:
        return 0;
    }
}

int dict_write(struct dict *d, const struct shard_key *k, struct dict_write *w)
{
    const struct shard *s = take_of(d, k);
    uint32_t over;
    uint32_t n = find(d, s, k, &over);
    w->evicted = false;
    int r = refusal(s, n, w);
    if (r == 0 && w->value.type == SHARD_NONE) {
        shard_remove(s, n);
        shard_commit(s);
    } else if (r == 0) {
        r = put(d, s, k, n != 0 ? n : find_for_write(d, s, k), w);
    }
    dict_drop(s);
    return r;
}

static int begin_number(struct dict *d, const struct shard *s, const struct shard_key *k, struct dict_incr *i)
{
    i->result = i->init + i->by;
    struct dict_write w = {.value = {.type = SHARD_NUMBER, .number = i->result}, .ttl = i->ttl};
    int r = put(d, s, k, 0, &w);
    i->evicted = w.evicted;
    return r;
}

static int add_number(const struct dict *d, const struct shard *s, uint32_t n, struct dict_incr *i)
{
    struct shard_value v = shard_value(s, n);
    if (v.type != SHARD_NUMBER)
        return DICT_NOT_A_NUMBER;
    i->result = v.number + i->by;
    if (s->head->newest == n) {
        shard_replace_number(s, n, i->result);
    } else {
        shard_set_number(s, n, i->result);
        shard_touch(s, n, *d->turn);
        shard_commit(s);
    }
    return 0;
}

int dict_incr(struct dict *d, const struct shard_key *k, struct dict_incr *i)
{
    const struct shard *s = take_of(d, k);
    uint32_t n = i->may_init ? find_for_write(d, s, k) : find(d, s, k, &(uint32_t){0});
    i->evicted = false;
    int r = n != 0         ? add_number(d, s, n, i)
            : i->may_init ? begin_number(d, s, k, i)
                           : DICT_NOT_FOUND;
    dict_drop(s);
    return r;
}

bool dict_delete(struct dict *d, const struct shard_key *k)
{
    const struct shard *s = take_of(d, k);
    uint32_t n = find_for_write(d, s, k);
    if (n != 0) {
        shard_remove(s, n);
        shard_commit(s);
    }
    dict_drop(s);
    return n != 0;
}

int dict_ttl(struct dict *d, const struct shard_key *k, int64_t *ttl)
{
    const struct shard *s = take_of(d, k);
    uint32_t over;
    uint32_t n = find(d, s, k, &over);
    if (n == 0)
        n = over;
    int64_t expires = n != 0 ? shard_entry(s, n)->expires : 0;
    dict_drop(s);
    int64_t left = expires != 0 ? expires - clock_now(d->clock) : 0;
    if (expires != 0 && (over != 0 ? left >= 0 : left < 1))
        left = over != 0 ? -1 : 1;
    *ttl = left;
    return n != 0 ? 0 : DICT_NOT_FOUND;
}

int dict_expire(struct dict *d, const struct shard_key *k, int64_t ttl)
{
    int64_t expires = end_of(d, ttl);
    const struct shard *s = take_of(d, k);
    uint32_t over;
    uint32_t n = find(d, s, k, &over);
    if (n == 0)
        n = over;
    if (n != 0) {
        shard_set_expires(s, n, expires);
        shard_commit(s);
    }
    dict_drop(s);
    return n != 0 ? 0 : DICT_NOT_FOUND;
}

/* ---- all shards ---- */

void dict_flush(struct dict *d)
{
    for (uint32_t i = 0; i < d->shards; i++) {
        const struct shard *s = dict_take(d, i);
        shard_empty(s);
        dict_drop(s);
    }
}

uint64_t dict_flush_expired(struct dict *d, uint64_t max)
{
    uint64_t gone = 0;
    for (uint32_t i = 0; i < d->shards && (max == 0 || gone < max); i++) {
        const struct shard *s = dict_take(d, i);
        gone += flush_over(d, s, 0, 0, max != 0 ? max - gone : 0);
        dict_drop(s);
    }
    return gone;
}

void dict_expire_all(struct dict *d)
{
    for (uint32_t i = 0; i < d->shards; i++) {
        const struct shard *s = dict_take(d, i);
        for (uint32_t n = s->head->newest; n != 0; n = shard_entry(s, n)->older) {
            shard_set_expires(s, n, 1);
            shard_commit(s);
        }
        dict_drop(s);
    }
}

struct dict_stats dict_stats(struct dict *d)
{
    struct dict_stats sum = {0};
    for (uint32_t i = 0; i < d->shards; i++) {
        const struct shard *s = dict_take(d, i);
        const struct shard_head *h = s->head;
        sum.entries += h->entries;
        sum.evicted += h->evicted;
        sum.expired += h->expired;
        sum.repaired += h->repaired;
        sum.emptied += h->emptied;
        sum.bytes += (uint64_t)(s->chunks.count - h->free.count) * CHUNK;
        dict_drop(s);
    }
    return sum;
}

const char *dict_fault(struct dict *d)
{
    const char *fault = NULL;
    for (uint32_t i = 0; i < d->shards && !fault; i++) {
        const struct shard *s = dict_take(d, i);
        fault = shard_fault(s, d->segment.seed, d->marks, d->key);
        dict_drop(s);
    }
    return fault;
}

void dict_check(struct dict *d)
{
    const char *fault = dict_fault(d);
    if (fault)
        base_fail(fault, __FILE__, __LINE__);
}
