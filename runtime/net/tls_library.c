/* SPDX-License-Identifier: MIT */
/* tls_library.c - what OpenSSL makes once is made before any of its allocations may fail: it does not try again. */
#include "net/tls_library.h"

#include "base/hard.h"
#include "base/sys.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static bool fails; /* its allocations may */

static void *allocate(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return sys_library_realloc(NULL, n, fails);
}

static void *reallocate(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return sys_library_realloc(p, n, fails);
}

static void release(void *p, const char *file, int line)
{
    (void)file, (void)line;
    sys_library_free(p);
}

void tls_library_begin(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    if (limits.hard)
        fails = CRYPTO_set_mem_functions(allocate, reallocate, release);
    bool then = fails;
    fails = false;
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
    SSL_CTX_free(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
    ERR_clear_error();
    fails = then;
}
