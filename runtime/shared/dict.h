/* SPDX-License-Identifier: MIT */
/* dict.h - keys and values that processes share, in one segment. The least recently used entries go first.
 *
 * Called by l_shared. A dict has shards, each with a lock of its own, and a key's hash selects its shard. So processes
 * rarely meet, and each shard evicts for itself. No call waits for a process that has died: see plock.h and undo.h.
 * A lock is held while one key's value is copied, or, by keys, flush and check, while one shard is walked through.
 *
 * Times are monotonic ns; an entry is over at `expires`, and never if that is 0. The clock is read only if an entry has
 * an end. */
#ifndef MOONPARK_DICT_H
#define MOONPARK_DICT_H

#include "base/clock.h"
#include "shared/segment.h"
#include "shared/shard.h"

enum {
    DICT_SIZE_MIN = 65536,           /* bytes of the whole segment */
    DICT_SHARD_SIZE = 1024 * 1024,   /* a dict has as many shards as it has room for with that size: a power of 2 */
    DICT_SHARDS_MAX = 1024,
};

/* Why nothing was done. */
enum dict_refusal {
    DICT_EXISTS = 1,
    DICT_NOT_FOUND,
    DICT_NOT_A_NUMBER,
    DICT_CHANGED,
    DICT_NO_ROOM, /* key and value need more than half a shard, or, gently, more than there is */
};

enum dict_how { DICT_SET, DICT_ADD, DICT_REPLACE, DICT_COMPARE };

struct dict {
    struct segment segment;
    uint32_t shards;
    struct shard *shard;    /* all of them */
    char *room;             /* where get puts strings */
    uint64_t room_size;
    unsigned char *marks;   /* for check, allocated beforehand: a repair must not fail */
    char *key;
    const struct clock *clock;
    const int64_t *turn;    /* when the loop's turn began: the time of an entry's use */
    bool keeps_over;        /* entries that are over stay until their room is needed, or their key is written */
};

struct dict_stats {
    uint64_t entries, evicted, expired, repaired, emptied;
    uint64_t bytes; /* of the chunks in use */
};

/* Opens the dict in that file. d is zeroed but for the clock and the turn. Returns 0, -errno, or segment_open's
 * reasons: then d is not open, and d->segment says what is there. */
int dict_open(struct dict *d, int fd, const char *name, uint64_t size);
void dict_close(struct dict *d); /* may be called again */

struct shard_key dict_key(const struct dict *d, const char *bytes, uint64_t length);

/* Returns 1 with the value, whose bytes are good until the next call; 0: there is none; or -ENOMEM. */
int dict_get(struct dict *d, const struct shard_key *k, struct shard_value *v);

/* The same for an entry that is over, if the dict keeps those: *stale says so. */
int dict_get_stale(struct dict *d, const struct shard_key *k, struct shard_value *v, bool *stale);

struct dict_write {
    enum dict_how how;
    bool gently;            /* only entries that are over may go for it */
    struct shard_value value; /* SHARD_NONE, with an old one: the entry goes */
    struct shard_value old; /* DICT_COMPARE: what must be there; SHARD_NONE: nothing */
    int64_t ttl;            /* ns; 0: none */
    bool evicted;           /* result: entries that were not over had to go for it */
};

/* Returns 0 or a refusal. */
int dict_write(struct dict *d, const struct shard_key *k, struct dict_write *w);

struct dict_incr {
    double by, init;
    bool may_init;   /* a key that is not there begins with init */
    int64_t ttl;     /* then */
    double result;
    bool evicted;
};

int dict_incr(struct dict *d, const struct shard_key *k, struct dict_incr *i);

bool dict_delete(struct dict *d, const struct shard_key *k); /* was it there */

/* These return 0 or DICT_NOT_FOUND. If the dict keeps entries that are over, they are found: their ttl is negative. */
int dict_ttl(struct dict *d, const struct shard_key *k, int64_t *ttl); /* 0: none */
int dict_expire(struct dict *d, const struct shard_key *k, int64_t ttl);

void dict_flush(struct dict *d);
uint64_t dict_flush_expired(struct dict *d, uint64_t max); /* 0: all that are over; returns how many went */
void dict_expire_all(struct dict *d); /* they are over */
struct dict_stats dict_stats(struct dict *d);

static inline bool dict_is_over(const struct dict *d, const struct shard_entry *e)
{
    return e->expires != 0 && e->expires <= clock_now(d->clock);
}

/* A shard with its lock, repaired if need be; dict_drop gives it back. */
const struct shard *dict_take(struct dict *d, uint32_t shard);
void dict_drop(const struct shard *s);

/* What is wrong with it, or NULL. */
const char *dict_fault(struct dict *d);
void dict_check(struct dict *d);

#endif
