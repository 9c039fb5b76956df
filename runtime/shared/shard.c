/* SPDX-License-Identifier: MIT */
/* shard.c - every word that others reach is changed through the log. A new entry is filled in free chunks, which nobody
 * reaches, and then linked. */
#include "shared/shard.h"

#include <string.h>

_Static_assert(sizeof(struct shard_entry) == CHUNK_HEAD, "an entry's head has another size");
_Static_assert(sizeof(struct shard_head) % CHUNK == 0, "chunks are aligned to cache lines");

/* ---- where things are ---- */

struct shard_plan shard_plan(uint64_t size)
{
    struct shard_plan p = {.size = size / CHUNK * CHUNK, .buckets = 1};
    uint64_t most = (p.size - sizeof(struct shard_head)) / (CHUNK + sizeof(uint32_t));
    while (p.buckets * UINT64_C(2) <= most)
        p.buckets *= 2;
    uint64_t end = sizeof(struct shard_head) + p.buckets * sizeof(uint32_t);
    p.chunks_at = (end + CHUNK - 1) / CHUNK * CHUNK;
    p.chunks = (uint32_t)((p.size - p.chunks_at) / CHUNK);
    return p;
}

struct shard shard_at(const struct shard_plan *plan, char *memory)
{
    struct shard_head *head = (struct shard_head *)memory;
    return (struct shard){
        .head = head,
        .buckets = (uint32_t *)(head + 1),
        .mask = plan->buckets - 1,
        .words = (uint32_t)(plan->size / sizeof(uint32_t)),
        .chunks = {.at = memory + plan->chunks_at, .count = plan->chunks, .free = &head->free, .undo = &head->undo,
                   .base = head},
    };
}

void shard_lay_out(const struct shard *s)
{
    chunks_lay_out(&s->chunks);
}

static void set(const struct shard *s, uint32_t *word, uint32_t value)
{
    undo_set(&s->head->undo, s->head, word, value);
}

/* ---- keys ---- */

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_at(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint64_t half_at(const char *bytes)
{
    uint32_t half;
    memcpy(&half, bytes, sizeof half);
    return half;
}

/* The first and the last bytes of 1 ... 16, which overlap: a copy of so few would take longer than the hash. */
static uint64_t first_of(const char *bytes, uint64_t n)
{
    if (n >= 8)
        return word_at(bytes);
    if (n >= 4)
        return half_at(bytes);
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | (n > 1 ? (uint64_t)b[1] << 8 : 0);
}

static uint64_t last_of(const char *bytes, uint64_t n)
{
    return n >= 8 ? word_at(bytes + n - 8) : n >= 4 ? half_at(bytes + n - 4) : (unsigned char)bytes[n - 1];
}

/* The seed is secret: a client that does not know it cannot choose keys that collide. */
uint64_t shard_hash(const uint64_t seed[2], const char *bytes, uint64_t n)
{
    uint64_t h = seed[0] ^ n;
    for (; n > 16; n -= 16, bytes += 16)
        h = fold(word_at(bytes) ^ h, word_at(bytes + 8) ^ seed[1]);
    h = fold(first_of(bytes, n) ^ h, last_of(bytes, n) ^ seed[1]);
    return fold(h ^ UINT64_C(0x9e3779b97f4a7c15), seed[1] | 1);
}

static bool same_bytes(const char *a, const char *b, uint64_t n)
{
    if (n > 16)
        return memcmp(a, b, n) == 0;
    return first_of(a, n) == first_of(b, n) && last_of(a, n) == last_of(b, n);
}

static uint32_t *bucket_of(const struct shard *s, uint32_t hash) { return &s->buckets[hash & s->mask]; }

static size_t key_place(const struct shard_entry *e) { return e->type == SHARD_NUMBER ? sizeof(double) : 0; }

static bool has_key(const struct shard *s, uint32_t n, const struct shard_key *k)
{
    const struct shard_entry *e = shard_entry(s, n);
    if (e->hash != (uint32_t)k->hash || e->key_length != k->length)
        return false;
    size_t at = key_place(e);
    if (at + k->length <= CHUNK_FIRST)
        return same_bytes((const char *)(e + 1) + at, k->bytes, k->length);
    return chunks_equal(&s->chunks, n, at, k->bytes, k->length);
}

uint32_t shard_find(const struct shard *s, const struct shard_key *k)
{
    uint32_t n = *bucket_of(s, (uint32_t)k->hash);
    while (n != 0 && !has_key(s, n, k))
        n = shard_entry(s, n)->chain;
    return n;
}

/* ---- order of use ---- */

static void leave_order(const struct shard *s, const struct shard_entry *e)
{
    set(s, e->newer ? &shard_entry(s, e->newer)->older : &s->head->newest, e->older);
    set(s, e->older ? &shard_entry(s, e->older)->newer : &s->head->oldest, e->newer);
}

/* The entry's own fields are the caller's. */
static void join_order(const struct shard *s, uint32_t n)
{
    uint32_t newest = s->head->newest;
    set(s, newest ? &shard_entry(s, newest)->newer : &s->head->oldest, n);
    set(s, &s->head->newest, n);
}

void shard_touch(const struct shard *s, uint32_t n, int64_t now)
{
    struct shard_entry *e = shard_entry(s, n);
    e->used = now;
    if (s->head->newest == n)
        return;
    leave_order(s, e);
    set(s, &e->newer, 0);
    set(s, &e->older, s->head->newest);
    join_order(s, n);
}

/* ---- entries ---- */

static uint64_t content(uint64_t key_length, uint32_t type, uint64_t length)
{
    return key_length + (type == SHARD_NUMBER ? sizeof(double) : type == SHARD_STRING ? length : 0);
}

uint64_t shard_needs(const struct shard_key *k, const struct shard_value *v)
{
    return chunks_needed(content(k->length, v->type, v->length));
}

void shard_add(const struct shard *s, const struct shard_key *k, const struct shard_value *v, int64_t expires,
               int64_t now)
{
    struct chunks_chain chain = chunks_take(&s->chunks, (uint32_t)shard_needs(k, v));
    struct shard_entry *e = shard_entry(s, chain.first);
    uint32_t *bucket = bucket_of(s, (uint32_t)k->hash);
    bool is_string = v->type == SHARD_STRING;
    e->chain = *bucket;
    e->newer = 0;
    e->older = s->head->newest;
    e->hash = (uint32_t)k->hash;
    e->last = chain.last;
    e->key_length = (uint16_t)k->length;
    e->type = (uint8_t)v->type;
    e->length = is_string ? v->length : 0;
    e->expires = expires;
    e->used = now;
    if (v->type == SHARD_NUMBER)
        memcpy(e + 1, &v->number, sizeof v->number);
    chunks_write(&s->chunks, chain.first, key_place(e), k->bytes, k->length);
    if (is_string)
        chunks_write(&s->chunks, chain.first, k->length, v->bytes, v->length);
    set(s, bucket, chain.first);
    join_order(s, chain.first);
    set(s, &s->head->entries, s->head->entries + 1);
}

static struct chunks_chain chain_of(const struct shard *s, uint32_t n)
{
    const struct shard_entry *e = shard_entry(s, n);
    return (struct chunks_chain){.first = n, .last = e->last,
                                 .count = (uint32_t)chunks_needed(content(e->key_length, e->type, e->length))};
}

void shard_remove(const struct shard *s, uint32_t n)
{
    const struct shard_entry *e = shard_entry(s, n);
    uint32_t *from = bucket_of(s, e->hash);
    while (*from != n)
        from = &shard_entry(s, *from)->chain;
    set(s, from, e->chain);
    leave_order(s, e);
    set(s, &s->head->entries, s->head->entries - 1);
    chunks_give(&s->chunks, chain_of(s, n));
}

void shard_empty(const struct shard *s)
{
    while (s->head->oldest != 0) {
        shard_remove(s, s->head->oldest);
        shard_commit(s);
    }
}

/* ---- values ---- */

static void set_two(const struct shard *s, void *at, const void *value)
{
    uint32_t *words = at, halves[2];
    memcpy(halves, value, sizeof halves);
    set(s, &words[0], halves[0]);
    set(s, &words[1], halves[1]);
}

/* One store of eight bytes, which is whole without the log. */
void shard_replace_number(const struct shard *s, uint32_t n, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    __atomic_store_n((uint64_t *)(shard_entry(s, n) + 1), bits, __ATOMIC_RELEASE);
}

void shard_set_number(const struct shard *s, uint32_t n, double number)
{
    set_two(s, shard_entry(s, n) + 1, &number);
}

void shard_set_expires(const struct shard *s, uint32_t n, int64_t expires)
{
    set_two(s, &shard_entry(s, n)->expires, &expires);
}

struct shard_value shard_value(const struct shard *s, uint32_t n)
{
    const struct shard_entry *e = shard_entry(s, n);
    struct shard_value v = {.type = e->type, .length = e->length};
    if (e->type == SHARD_NUMBER)
        memcpy(&v.number, e + 1, sizeof v.number);
    return v;
}

void shard_read(const struct shard *s, uint32_t n, char *to)
{
    const struct shard_entry *e = shard_entry(s, n);
    if (e->key_length + (uint64_t)e->length <= CHUNK_FIRST)
        memcpy(to, (const char *)(e + 1) + e->key_length, e->length);
    else
        chunks_read(&s->chunks, n, e->key_length, to, e->length);
}

void shard_read_key(const struct shard *s, uint32_t n, char *to)
{
    const struct shard_entry *e = shard_entry(s, n);
    chunks_read(&s->chunks, n, key_place(e), to, e->key_length);
}

bool shard_equals(const struct shard *s, uint32_t n, const struct shard_value *v)
{
    struct shard_value have = shard_value(s, n);
    if (have.type != v->type || (v->type == SHARD_STRING && have.length != v->length))
        return false;
    if (v->type == SHARD_NUMBER)
        return have.number == v->number || (have.number != have.number && v->number != v->number);
    return v->type != SHARD_STRING ||
           chunks_equal(&s->chunks, n, shard_entry(s, n)->key_length, v->bytes, v->length);
}

/* ---- is it whole ---- */

struct check {
    const struct shard *s;
    const uint64_t *seed;
    unsigned char *marks;
    char *key;
};

/* Each chunk is met once. */
static bool mark(const struct check *c, uint32_t n)
{
    if (n == 0 || n > c->s->chunks.count)
        return false;
    unsigned char *byte = &c->marks[(n - 1) / 8], bit = (unsigned char)(1 << (n - 1) % 8);
    bool fresh = !(*byte & bit);
    *byte |= bit;
    return fresh;
}

static const char *chain_fault(const struct check *c, uint32_t first, uint32_t last, uint64_t count)
{
    uint32_t n = first, at = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!mark(c, n))
            return "a chain leads astray";
        at = n;
        n = *chunks_link(&c->s->chunks, n);
    }
    return n != 0 ? "a chain is too long" : at != last ? "a chain ends elsewhere" : NULL;
}

static bool is_in_its_bucket(const struct shard *s, uint32_t n)
{
    uint32_t at = *bucket_of(s, shard_entry(s, n)->hash);
    for (uint32_t steps = 0; at != n; steps++) {
        if (at == 0 || at > s->chunks.count || steps > s->chunks.count)
            return false;
        at = shard_entry(s, at)->chain;
    }
    return true;
}

static const char *entry_fault(const struct check *c, uint32_t n, uint32_t newer)
{
    if (n > c->s->chunks.count)
        return "an entry leads astray";
    const struct shard_entry *e = shard_entry(c->s, n);
    if (e->newer != newer)
        return "the order of use is broken";
    if (e->type < SHARD_STRING || e->type > SHARD_TRUE || e->key_length == 0)
        return "an entry is of no type";
    uint64_t count = chunks_needed(content(e->key_length, e->type, e->length));
    if (count > shard_most(c->s))
        return "an entry is too long";
    const char *fault = chain_fault(c, n, e->last, count);
    if (fault)
        return fault;
    shard_read_key(c->s, n, c->key);
    if ((uint32_t)shard_hash(c->seed, c->key, e->key_length) != e->hash)
        return "an entry has another key";
    return is_in_its_bucket(c->s, n) ? NULL : "an entry is not in its bucket";
}

static const char *entries_fault(const struct check *c)
{
    const struct shard_head *h = c->s->head;
    uint32_t newer = 0, count = 0;
    for (uint32_t n = h->newest; n != 0; n = shard_entry(c->s, n)->older, count++) {
        const char *fault = entry_fault(c, n, newer);
        if (fault)
            return fault;
        newer = n;
    }
    return newer != h->oldest     ? "the order of use ends elsewhere"
           : count != h->entries ? "the entries are counted wrongly"
                                  : NULL;
}

static const char *buckets_fault(const struct shard *s)
{
    uint64_t seen = 0;
    for (uint64_t b = 0; b <= s->mask; b++)
        for (uint32_t n = s->buckets[b]; n != 0; n = shard_entry(s, n)->chain)
            if (n > s->chunks.count || ++seen > s->head->entries || (shard_entry(s, n)->hash & s->mask) != b)
                return "a bucket leads astray";
    return seen != s->head->entries ? "a bucket has lost an entry" : NULL;
}

static const char *free_fault(const struct check *c)
{
    const struct shard *s = c->s;
    uint32_t n = s->head->free.first, count = 0;
    for (; n != 0; n = *chunks_link(&s->chunks, n), count++)
        if (!mark(c, n))
            return "the free chunks lead astray";
    if (count != s->head->free.count)
        return "the free chunks are counted wrongly";
    for (n = 1; n <= s->chunks.count; n++)
        if (!(c->marks[(n - 1) / 8] >> (n - 1) % 8 & 1))
            return "a chunk is lost";
    return NULL;
}

const char *shard_fault(const struct shard *s, const uint64_t seed[2], unsigned char *marks, char *key)
{
    struct check c = {.s = s, .seed = seed, .marks = marks, .key = key};
    memset(marks, 0, ((size_t)s->chunks.count + 7) / 8);
    if (s->head->undo.count != 0)
        return "a change is unfinished";
    const char *fault = entries_fault(&c);
    if (!fault)
        fault = buckets_fault(s);
    return fault ? fault : free_fault(&c);
}
