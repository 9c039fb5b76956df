/* SPDX-License-Identifier: MIT */
/* shard.h - a part of a dict: a hash table over chains of chunks, with its own lock, and in order of use.
 *
 * Called by dict, which holds the lock. Nothing in here knows what time it is. A change may take several of these calls
 * and ends with shard_commit; until then nothing of it has happened to the next process, should this one be killed. */
#ifndef MOONPARK_SHARD_H
#define MOONPARK_SHARD_H

#include "shared/chunks.h"
#include "shared/plock.h"

enum { SHARD_KEY_MAX = 65535 };

enum shard_type { SHARD_NONE, SHARD_STRING, SHARD_NUMBER, SHARD_FALSE, SHARD_TRUE };

struct shard_value {
    uint32_t type;
    uint32_t length; /* of a string */
    double number;
    const char *bytes;
};

struct shard_key {
    const char *bytes;
    uint64_t length; /* 1 ... SHARD_KEY_MAX */
    uint64_t hash;   /* shard_hash's */
};

struct shard_entry { /* the head of a chain; the contents are number, key, string */
    uint32_t link;
    uint32_t chain;          /* the next one of its bucket */
    uint32_t newer, older;   /* neighbours by use */
    uint32_t hash;
    uint32_t last;           /* chunk of its chain */
    uint16_t key_length;
    uint8_t type;
    uint8_t spare;
    uint32_t length;         /* of the string */
    int64_t expires;         /* ns, monotonic; 0: never */
    int64_t used;            /* ns, monotonic: only for the order among shards */
};

struct shard_head { /* in the segment; the buckets follow, then the chunks */
    struct plock lock;
    uint32_t newest, oldest;
    uint32_t entries;
    struct chunks_free free;
    uint64_t apart[5];           /* the next ones are on another cache line */
    uint64_t evicted, expired;   /* entries that had to go, and that were found to be over */
    uint64_t repaired, emptied;  /* after a process had died with the lock */
    uint64_t padding[4];
    struct undo undo;
};

/* What a process knows of it. */
struct shard {
    struct shard_head *head;
    uint32_t *buckets;
    uint32_t mask;          /* buckets - 1 */
    uint32_t words;         /* of all of it, for the log */
    struct chunks chunks;
};

/* How many buckets and chunks a shard of `size` bytes has. */
struct shard_plan {
    uint64_t size;          /* a multiple of CHUNK */
    uint32_t buckets, chunks;
    uint64_t chunks_at;
};

struct shard_plan shard_plan(uint64_t size);
struct shard shard_at(const struct shard_plan *plan, char *memory);
void shard_lay_out(const struct shard *s); /* memory is zero */

uint64_t shard_hash(const uint64_t seed[2], const char *bytes, uint64_t n);

/* The largest number of chunks that an entry may have: a second version of it has room beside the first one. */
static inline uint32_t shard_most(const struct shard *s) { return s->chunks.count / 2; }

static inline struct shard_entry *shard_entry(const struct shard *s, uint32_t e) { return chunks_at(&s->chunks, e); }

uint32_t shard_find(const struct shard *s, const struct shard_key *k); /* 0: there is none */
uint64_t shard_needs(const struct shard_key *k, const struct shard_value *v); /* chunks */

/* Adds it as the newest. There must be room, and no entry of that key that stays. */
void shard_add(const struct shard *s, const struct shard_key *k, const struct shard_value *v, int64_t expires,
               int64_t now);
void shard_remove(const struct shard *s, uint32_t e);
void shard_touch(const struct shard *s, uint32_t e, int64_t now); /* it is the newest */

void shard_set_number(const struct shard *s, uint32_t e, double number); /* of one that is a number */
void shard_replace_number(const struct shard *s, uint32_t n, double number); /* the same, at once and for good */
void shard_set_expires(const struct shard *s, uint32_t e, int64_t expires);

/* The entry's value without the bytes of a string, which shard_read copies. */
struct shard_value shard_value(const struct shard *s, uint32_t e);
void shard_read(const struct shard *s, uint32_t e, char *to);
bool shard_equals(const struct shard *s, uint32_t e, const struct shard_value *v); /* same type, same value */
void shard_read_key(const struct shard *s, uint32_t e, char *to);

static inline void shard_commit(const struct shard *s) { undo_commit(&s->head->undo); }

/* Removes all entries. Committed one by one. */
void shard_empty(const struct shard *s);

/* What is wrong with it, or NULL. Trusts nothing in it. `marks` has (chunks + 7) / 8 bytes, `key` SHARD_KEY_MAX. */
const char *shard_fault(const struct shard *s, const uint64_t seed[2], unsigned char *marks, char *key);

#endif
