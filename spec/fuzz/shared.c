/* SPDX-License-Identifier: MIT */
/* shared.c - calls of a shared dict, beside a model: what is there is what was last kept, or it was evicted; the dict
 * is whole after all of it. Then bytes of its memory are changed: the check says that something is wrong or not, and
 * reads nothing outside. */
#include "fuzz.h"

#include "base/sys.h"
#include "base/sys_memory.h"
#include "shared/dict.h"

enum { KEYS = 24, LONGEST = 8000 };

struct input {
    const uint8_t *at, *end;
};

struct model {
    bool there[KEYS];
    uint32_t type[KEYS];
    double number[KEYS];
    uint32_t length[KEYS];
    char letter[KEYS];
    int64_t ends[KEYS];
};

static struct dict dict;
static struct clock now;
static const int64_t turn = 1;
static int fd;
static struct model model;
static char text[LONGEST];

static uint8_t next(struct input *in) { return in->at < in->end ? *in->at++ : 0; }

static void open_dict(void)
{
    fd = sys_memfd("fuzz", DICT_SIZE_MIN);
    check(fd >= 0);
    dict = (struct dict){.clock = &now, .turn = &turn};
    now = (struct clock){.frozen = true, .now = 1};
    check(dict_open(&dict, fd, "fuzz", DICT_SIZE_MIN) == 0);
}

/* Keys of 1 ... 200 bytes, so that they reach over the end of a chunk. */
static struct shard_key key_of(uint32_t n)
{
    static char names[KEYS][200];
    memset(names[n], 'a' + (int)n, sizeof names[n]);
    return dict_key(&dict, names[n], 1 + n * 8);
}

static struct shard_value value_of(struct input *in)
{
    struct shard_value v = {.type = SHARD_STRING + next(in) % 4, .bytes = text};
    v.number = next(in);
    v.length = (uint32_t)(next(in) * next(in)) % LONGEST;
    memset(text, next(in), v.length);
    return v;
}

static bool has(uint32_t n) { return model.there[n] && !(model.ends[n] != 0 && model.ends[n] <= now.now); }

static void keep(uint32_t n, const struct shard_value *v, int64_t ttl)
{
    model.there[n] = true;
    model.type[n] = v->type;
    model.number[n] = v->number;
    model.length[n] = v->length;
    model.letter[n] = v->length > 0 ? v->bytes[0] : 0;
    model.ends[n] = ttl > 0 ? now.now + ttl : 0;
}

/* Those that are gone, though they should be there, were evicted since. */
static void see_evictions(uint64_t before)
{
    uint64_t gone = 0;
    for (uint32_t n = 0; n < KEYS; n++) {
        struct shard_key k = key_of(n);
        int64_t ttl;
        bool there = dict_ttl(&dict, &k, &ttl) == 0;
        check(!there || has(n));
        if (!there && has(n)) {
            model.there[n] = false;
            gone++;
        }
    }
    check(gone == dict_stats(&dict).evicted - before);
}

static void look(uint32_t n)
{
    struct shard_key k = key_of(n);
    struct shard_value v;
    int r = dict_get(&dict, &k, &v);
    check(r == has(n));
    if (r == 0)
        return;
    check(v.type == model.type[n]);
    check(v.type != SHARD_NUMBER || v.number == model.number[n]);
    if (v.type != SHARD_STRING)
        return;
    check(v.length == model.length[n]);
    for (uint32_t i = 0; i < v.length; i++)
        check(v.bytes[i] == model.letter[n]);
}

static void put(struct input *in, uint32_t n, enum dict_how how)
{
    struct shard_key k = key_of(n);
    struct dict_write w = {.how = how, .value = value_of(in), .ttl = next(in) % 40};
    bool refused = (how == DICT_ADD && has(n)) || (how == DICT_REPLACE && !has(n)) || (how == DICT_COMPARE && has(n));
    uint64_t evicted = dict_stats(&dict).evicted;
    int r = dict_write(&dict, &k, &w);
    check((r != 0) == refused);
    if (r == 0)
        keep(n, &w.value, w.ttl);
    see_evictions(evicted);
}

static void count(struct input *in, uint32_t n)
{
    struct shard_key k = key_of(n);
    struct dict_incr i = {.by = next(in), .init = 3, .may_init = next(in) & 1};
    uint64_t evicted = dict_stats(&dict).evicted;
    bool was_number = has(n) && model.type[n] == SHARD_NUMBER;
    int r = dict_incr(&dict, &k, &i);
    check(r == (was_number ? 0 : has(n) ? DICT_NOT_A_NUMBER : i.may_init ? 0 : DICT_NOT_FOUND));
    if (was_number)
        model.number[n] = i.result;
    else if (r == 0)
        keep(n, &(struct shard_value){.type = SHARD_NUMBER, .number = i.by + i.init}, 0);
    see_evictions(evicted);
}

static void forget(uint32_t n)
{
    struct shard_key k = key_of(n);
    check(dict_delete(&dict, &k) == has(n));
    model.there[n] = false;
}

static void act(struct input *in)
{
    uint8_t what = next(in);
    uint32_t n = next(in) % KEYS;
    if (what < 60)
        look(n);
    else if (what < 160)
        put(in, n, what % 4 == 0 ? DICT_ADD : what % 4 == 1 ? DICT_REPLACE : what % 4 == 2 ? DICT_COMPARE : DICT_SET);
    else if (what < 200)
        count(in, n);
    else if (what < 220)
        forget(n);
    else if (what < 250)
        clock_advance_to(&now, now.now + what - 220);
    else if (what == 250) {
        dict_flush(&dict);
        memset(model.there, 0, sizeof model.there);
    }
}

/* 5 bytes each: where, and what. */
static void damage(struct input in)
{
    while (in.at < in.end) {
        uint32_t where = (uint32_t)next(&in) << 16 | (uint32_t)next(&in) << 8 | next(&in);
        where = where % (DICT_SIZE_MIN - SEGMENT_CONTENTS);
        if (where >= sizeof(struct plock)) /* only a process of that place can have it */
            dict.segment.base[SEGMENT_CONTENTS + where] ^= (char)next(&in);
    }
    (void)dict_fault(&dict);
}

/* One dict lives until it is damaged. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = {bytes, bytes + n}, again = in;
    if (!dict.segment.base)
        open_dict();
    dict_flush(&dict);
    memset(&model, 0, sizeof model);
    while (in.at < in.end)
        act(&in);
    check(dict_fault(&dict) == NULL);
    if (n % 8 == 0) {
        damage(again);
        dict_close(&dict);
        sys_close(fd);
    }
    return 0;
}
