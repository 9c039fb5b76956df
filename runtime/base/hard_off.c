/* SPDX-License-Identifier: MIT */
/* hard_off.c - the limits of release builds; no fault is injected. */
#include "base/hard.h"

const struct limits limits = {
    .scratch = 65536,
    .buffer = 4096,
    .operations = 64,
    .turns_a_poll = 128,
    .events = 256,
    .idle_threads = 4096,
    .false_wakes = false,
    .hard = false,
};

int hard_syscall(int err)
{
    (void)err;
    return 0;
}

bool hard_alloc(void) { return true; }
size_t hard_trim(size_t n) { return n; }
void hard_fail_syscall(uint64_t n) { (void)n; }
void hard_fail_alloc(uint64_t n) { (void)n; }

void hard_fail_by_chance(uint64_t seed, uint64_t one_call_in, uint64_t one_alloc_in)
{
    (void)seed, (void)one_call_in, (void)one_alloc_in;
}

bool hard_by_chance(void) { return false; }

void hard_fail_times(uint64_t n) { (void)n; }
void hard_fail_with(int err) { (void)err; }
ssize_t hard_sent(ssize_t r) { return r; }
void hard_raise_sigpipe(bool on) { (void)on; }
uint64_t hard_syscalls(void) { return 0; }
uint64_t hard_allocs(void) { return 0; }
