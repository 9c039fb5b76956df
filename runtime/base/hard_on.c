/* SPDX-License-Identifier: MIT */
/* hard_on.c - the hard build: all limits are tiny, and a chosen call fails.
 * The counters belong to the process, not to a Lua state: they are the test's, not the runtime's. */
#include "base/hard.h"

#include <signal.h>

const struct limits limits = {
    .scratch = 1,
    .buffer = 1,
    .operations = 1,
    .turns_a_poll = 1,
    .events = 1,
    .idle_threads = 1,
    .false_wakes = true,
    .hard = true,
};

struct counter {
    uint64_t count, fail_at, one_in;
};

static struct counter calls, allocs;
static uint64_t seed;      /* of random failures */
static uint64_t times = 1; /* how many fail in a row */
static int error;          /* returned by failing calls; 0: each its own */
static bool raises_sigpipe;

/* The same result for the same seed and number: there is no state that threads would have to share. */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static bool fails(struct counter *c)
{
    uint64_t count = __atomic_add_fetch(&c->count, 1, __ATOMIC_RELAXED); /* helper threads count too */
    uint64_t one_in = __atomic_load_n(&c->one_in, __ATOMIC_RELAXED);
    if (one_in)
        return scramble(seed ^ count << 1 ^ (c == &allocs)) % one_in == 0;
    uint64_t fail_at = __atomic_load_n(&c->fail_at, __ATOMIC_RELAXED);
    return fail_at && count >= fail_at && count - fail_at < __atomic_load_n(&times, __ATOMIC_RELAXED);
}

int hard_syscall(int err) { return fails(&calls) ? -(error ? error : err) : 0; }
bool hard_alloc(void) { return !fails(&allocs); }
size_t hard_trim(size_t n) { return n > 0; }

static void aim(struct counter *c, uint64_t n)
{
    __atomic_store_n(&c->fail_at, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->fail_at, n, __ATOMIC_RELAXED);
}

void hard_fail_syscall(uint64_t n) { aim(&calls, n); }
void hard_fail_alloc(uint64_t n) { aim(&allocs, n); }
void hard_fail_by_chance(uint64_t with_seed, uint64_t one_call_in, uint64_t one_alloc_in)
{
    seed = scramble(with_seed);
    __atomic_store_n(&calls.one_in, one_call_in, __ATOMIC_RELAXED);
    __atomic_store_n(&allocs.one_in, one_alloc_in, __ATOMIC_RELAXED);
}

bool hard_by_chance(void) { return calls.one_in || allocs.one_in; }

void hard_fail_times(uint64_t n) { __atomic_store_n(&times, n, __ATOMIC_RELAXED); }

void hard_fail_with(int err) { error = err; }
void hard_raise_sigpipe(bool on) { raises_sigpipe = on; }

ssize_t hard_sent(ssize_t r)
{
    if (raises_sigpipe)
        raise(SIGPIPE);
    return r;
}

uint64_t hard_syscalls(void) { return __atomic_load_n(&calls.count, __ATOMIC_RELAXED); }
uint64_t hard_allocs(void) { return __atomic_load_n(&allocs.count, __ATOMIC_RELAXED); }
