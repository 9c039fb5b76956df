/* SPDX-License-Identifier: MIT */
/* request.c - the bytes are the head of a request. */
#include "head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) { return head_run(http_parse_request, bytes, n, true); }
