/* SPDX-License-Identifier: MIT */
/* hard.h - build-time limits, and fault injection for the `hard` build.
 *
 * sys.c uses it. hard_off.c is for release builds. hard_on.c is for the `hard` build: buffers and budgets of 1,
 * one byte per read and write, a false wake in each turn, and the n-th system call or allocation fails. */
#ifndef MOONPARK_HARD_H
#define MOONPARK_HARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct limits {
    size_t scratch;        /* bytes of the loop's read buffer: the most one read() returns */
    size_t buffer;         /* bytes by which a connection's buffer grows at least */
    uint32_t operations;   /* operations a task may do without parking before others run */
    uint32_t turns_a_poll; /* the most tasks that run between two polls */
    uint32_t events;       /* events taken from one poll */
    uint32_t idle_threads; /* finished coroutines kept for the next task */
    bool false_wakes;      /* wake one waiter for nothing in each turn */
    bool hard;             /* is this the hard build */
};

extern const struct limits limits;

/* 0, or -err if this system call is the one that must fail. */
int hard_syscall(int err);

/* False if this allocation is the one that must fail. */
bool hard_alloc(void);

/* How many of n bytes one read or write may move. */
size_t hard_trim(size_t n);

/* Makes the n-th system call (allocation) from now on fail; 0: none. These do nothing in other builds. */
void hard_fail_syscall(uint64_t n);
void hard_fail_alloc(uint64_t n);

/* How many calls in a row fail when one fails; 1 by default. */
void hard_fail_times(uint64_t n);

/* Makes one in `one_call_in` system calls and one in `one_alloc_in` allocations fail at random: the same ones for the
 * same seed, unless threads interleave differently. 0: none. */
void hard_fail_by_chance(uint64_t seed, uint64_t one_call_in, uint64_t one_alloc_in);
bool hard_by_chance(void); /* is that switched on */

/* The error that failing system calls return; 0: each its own. */
void hard_fail_with(int err);

/* Returns r, the result of a sendfile. After hard_raise_sigpipe(true) it also raises SIGPIPE, as if sendfile had met
 * the end of the connection after it sent something. */
ssize_t hard_sent(ssize_t r);
void hard_raise_sigpipe(bool on);

/* System calls (allocations) since the last hard_fail_*; 0 in a plain build. */
uint64_t hard_syscalls(void);
uint64_t hard_allocs(void);

#endif
