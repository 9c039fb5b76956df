/* SPDX-License-Identifier: MIT */
/* tls_library.h - OpenSSL as this process has it. */
#ifndef MOONPARK_TLS_LIBRARY_H
#define MOONPARK_TLS_LIBRARY_H

#include "base/base.h"

/* Before anything else of OpenSSL is used; harmless more than once. In the hard build its allocations fail as ours do,
 * save those that it makes once. */
void tls_library_begin(void);

#endif
