/* SPDX-License-Identifier: MIT */
/* hard_on.c - the hard build: everything small, and one chosen call that fails.
 * The counters are the process's own, not a Lua state's: they belong to the test, not to the runtime. */
#include "hard.h"

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
    uint64_t count, fail_at;
};

static struct counter calls, allocs;
static uint64_t times = 1; /* how many fail in a row */

static bool fails(struct counter *c)
{
    c->count++;
    return c->fail_at && c->count >= c->fail_at && c->count - c->fail_at < times;
}

int hard_syscall(int err) { return fails(&calls) ? -err : 0; }
bool hard_alloc(void) { return !fails(&allocs); }
size_t hard_trim(size_t n) { return n > 0; }

void hard_fail_syscall(uint64_t n)
{
    calls.count = 0;
    calls.fail_at = n;
}

void hard_fail_alloc(uint64_t n)
{
    allocs.count = 0;
    allocs.fail_at = n;
}

void hard_fail_times(uint64_t n) { times = n; }

uint64_t hard_syscalls(void) { return calls.count; }
uint64_t hard_allocs(void) { return allocs.count; }
