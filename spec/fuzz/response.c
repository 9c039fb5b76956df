/* SPDX-License-Identifier: MIT */
/* response.c - the bytes are the head of a response. */
#include "head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) { return head_run(http_parse_response, bytes, n, false); }
