/* SPDX-License-Identifier: MIT */
/* spelling.h - "did you mean": the nearest of some words, whatever the case of their letters.
 *
 * Called where an error is about to be raised. As moonpark.spelling: one letter in three may be wrong, two at most. */
#ifndef MOONPARK_SPELLING_H
#define MOONPARK_SPELLING_H

#include "base/base.h"

struct spelling {
    const char *word;
    const char *nearest; /* NULL: none so far is near enough */
    size_t least;        /* a word must have fewer letters wrong */
};

void spelling_begin(struct spelling *s, const char *word);
void spelling_try(struct spelling *s, const char *candidate); /* keeps the pointer, if it is the nearest */

#endif
