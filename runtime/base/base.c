/* SPDX-License-Identifier: MIT */
/* base.c - a failed must() ends the process with one line that a bug report can quote. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void base_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "moonpark: %s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
