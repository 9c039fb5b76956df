/* SPDX-License-Identifier: MIT */
/* base.h - what every file uses: must(), container_of, units, the error rule.
 *
 * Uses no other file of the runtime.
 *
 * The error rule: a function that can fail returns 0 or a count, or a negative code: -errno if the system gave
 * one, otherwise one of errors.h. Steps that can fail come before anything has changed. must() guards what cannot
 * happen unless this code is wrong; it stays in release builds. */
#ifndef MOONPARK_BASE_H
#define MOONPARK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must(x) ((x) ? (void)0 : base_fail(#x, __FILE__, __LINE__))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define NS_PER_SECOND INT64_C(1000000000)

/* Prints the failed condition and its place, then aborts. Never returns. */
_Noreturn void base_fail(const char *what, const char *file, int line);

static inline size_t base_min(size_t a, size_t b) { return a < b ? a : b; }

#endif
