/* SPDX-License-Identifier: MIT */
/* differ_none.c - stands for differ_llhttp.c where llhttp's sources are not installed, and says so. */
#include "fuzz.h"

__attribute__((constructor)) static void say(void)
{
    fprintf(stderr, "SKIPPED: not compared with llhttp, whose sources are not installed (Debian's node-llhttp)\n");
}

void differ_head(const struct http_head *h, const char *bytes, bool request) { (void)h, (void)bytes, (void)request; }

void differ_chunks(const char *bytes, size_t n, const char *data, size_t length)
{
    (void)bytes, (void)n, (void)data, (void)length;
}
