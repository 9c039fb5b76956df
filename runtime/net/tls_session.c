/* SPDX-License-Identifier: MIT */
/* tls_session.c - a ring: the oldest gives way. It is looked through from the newest on. */
#include "net/tls_session.h"

#include "base/sys.h"

#include <openssl/ssl.h>
#include <string.h>

static void drop(struct tls_sessions *s, uint32_t i)
{
    sys_free(s->kept[i].name);
    SSL_SESSION_free(s->kept[i].session);
    s->kept[i].name = NULL;
    s->kept[i].session = NULL;
}

bool tls_session_keep(struct tls_sessions *s, const char *name, struct ssl_session_st *session)
{
    size_t n = strlen(name) + 1;
    char *copy = sys_alloc(n);
    if (!copy)
        return false;
    memcpy(copy, name, n);
    uint32_t i = s->next++ % TLS_SESSIONS;
    drop(s, i);
    s->kept[i].name = copy;
    s->kept[i].session = session;
    return true;
}

struct ssl_session_st *tls_session_take(struct tls_sessions *s, const char *name)
{
    for (uint32_t n = 1; n <= TLS_SESSIONS; n++) {
        uint32_t i = (s->next - n) % TLS_SESSIONS;
        SSL_SESSION *session = s->kept[i].session;
        if (!session || strcmp(s->kept[i].name, name) != 0)
            continue;
        s->kept[i].session = NULL;
        drop(s, i);
        return session;
    }
    return NULL;
}

void tls_session_forget(struct tls_sessions *s)
{
    for (uint32_t i = 0; i < TLS_SESSIONS; i++)
        drop(s, i);
}
