/* SPDX-License-Identifier: MIT */
/* base.c - how a broken promise ends the process: one line that a bug report can quote. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void base_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "moonpark: %s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
