/* SPDX-License-Identifier: MIT */
/* tls_vector.h - the bytes of a write, as records take them. */
#ifndef MOONPARK_TLS_VECTOR_H
#define MOONPARK_TLS_VECTOR_H

#include "base/base.h"

#include <sys/uio.h>

enum { TLS_RECORD = 16384 }; /* bytes that one can have */

/* The vector as it goes on after some of its bytes. */
struct tls_vector {
    const struct iovec *iov;
    int count;
    size_t at; /* in the first */
};

void tls_vector_skip(struct tls_vector *v, size_t n);

/* The next record's bytes: where they are, or copied to `joined`. Returns how many; 0: none are left. */
size_t tls_vector_next(const struct tls_vector *v, const char **bytes, char joined[static TLS_RECORD]);

#endif
