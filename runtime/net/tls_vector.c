/* SPDX-License-Identifier: MIT */
/* tls_vector.c - small pieces are joined: a record of its own costs more than a copy. */
#include "net/tls_vector.h"

#include <string.h>

void tls_vector_skip(struct tls_vector *v, size_t n)
{
    v->at += n;
    while (v->count > 0 && v->at >= v->iov->iov_len) {
        v->at -= v->iov->iov_len;
        v->iov++;
        v->count--;
    }
}

size_t tls_vector_next(const struct tls_vector *v, const char **bytes, char joined[static TLS_RECORD])
{
    if (v->count == 0)
        return 0;
    size_t n = v->iov->iov_len - v->at;
    *bytes = (const char *)v->iov->iov_base + v->at;
    if (n >= TLS_RECORD || v->count == 1)
        return base_min(n, TLS_RECORD);
    memcpy(joined, *bytes, n);
    *bytes = joined;
    for (int i = 1; i < v->count && n < TLS_RECORD; i++) {
        size_t some = base_min(v->iov[i].iov_len, TLS_RECORD - n);
        memcpy(joined + n, v->iov[i].iov_base, some);
        n += some;
    }
    return n;
}
