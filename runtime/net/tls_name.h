/* SPDX-License-Identifier: MIT */
/* tls_name.h - hosts as TLS names them: which words are names, and which patterns a name matches. */
#ifndef MOONPARK_TLS_NAME_H
#define MOONPARK_TLS_NAME_H

#include "base/base.h"

enum { TLS_NAME = 254 }; /* bytes of the longest name, and its end */

enum tls_name_kind { TLS_NAME_NONE, TLS_NAME_HOST, TLS_NAME_ADDRESS };

/* Reads a stranger's word for a host. HOST: labels of letters, digits, "-" and "_"; `to` has them in lower case,
 * without the root's dot. ADDRESS: `to` has it in its usual spelling. NONE: it is neither, and `to` is empty. */
enum tls_name_kind tls_name_read(char to[TLS_NAME], const char *text, size_t n);

/* Does the pattern stand for a name that was read? "*.example" does for one label in its place. */
bool tls_name_matches(const char *pattern, const char *name);

#endif
