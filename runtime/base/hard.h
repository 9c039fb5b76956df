/* SPDX-License-Identifier: MIT */
/* hard.h - the numbers of a build, and where a build may be made to suffer.
 *
 * sys.c stands on it. hard_off.c is what people run. hard_on.c is the `hard` build: buffers and
 * budgets of 1, one byte a read and a write, a false wake each turn, and the n-th system call or
 * allocation fails. */
#ifndef MOONPARK_HARD_H
#define MOONPARK_HARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct limits {
    size_t scratch;        /* bytes of the loop's read buffer: the most one read() returns */
    size_t buffer;         /* bytes a connection's buffer grows by at least */
    uint32_t operations;   /* operations a task may do without parking before others run */
    uint32_t turns_a_poll; /* tasks run between two looks at the poller, at the most */
    uint32_t events;       /* events taken from one poll */
    uint32_t idle_threads; /* finished coroutines kept for the next task */
    bool false_wakes;      /* wake one waiter for nothing in each turn */
    bool hard;             /* is this the hard build */
};

extern const struct limits limits;

/* 0, or -err where this system call is the one that must fail. */
int hard_syscall(int err);

/* False where this allocation is the one that must fail. */
bool hard_alloc(void);

/* How many of n bytes one read or write may move. */
size_t hard_trim(size_t n);

/* From now on the n-th system call (allocation) fails; 0: none does. No-ops in a plain build. */
void hard_fail_syscall(uint64_t n);
void hard_fail_alloc(uint64_t n);

/* How many calls in a row fail when one does; 1. */
void hard_fail_times(uint64_t n);

/* From now on one system call in so many fails, and one allocation in so many, by chance: the same ones for the same
 * seed, as far as threads do not mix them. 0: none does. */
void hard_fail_by_chance(uint64_t seed, uint64_t one_call_in, uint64_t one_alloc_in);
bool hard_by_chance(void); /* is it so now */

/* What the failing system calls return in place of their own error; 0: their own. */
void hard_fail_with(int err);

/* r, of a sendfile that has returned it. Where hard_raise_sigpipe(true) was said it has met the end of the connection
 * as well, and has raised SIGPIPE. */
ssize_t hard_sent(ssize_t r);
void hard_raise_sigpipe(bool on);

/* System calls (allocations) since the last hard_fail_*; 0 in a plain build. */
uint64_t hard_syscalls(void);
uint64_t hard_allocs(void);

#endif
