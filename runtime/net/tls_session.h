/* SPDX-License-Identifier: MIT */
/* tls_session.h - the sessions that a client may resume: by the name it speaks to, so that no certificate counts for
 * another host. Each is taken out to be used once (RFC 8446, C.4). */
#ifndef MOONPARK_TLS_SESSION_H
#define MOONPARK_TLS_SESSION_H

#include "base/base.h"

struct ssl_session_st;

enum { TLS_SESSIONS = 64 };

struct tls_sessions {
    struct {
        char *name;
        struct ssl_session_st *session;
    } kept[TLS_SESSIONS];
    uint32_t next; /* the place that is used next, whoever is there */
};

/* Keeps the session, which it takes over. False: no memory, and it is still the caller's. */
bool tls_session_keep(struct tls_sessions *s, const char *name, struct ssl_session_st *session);

/* The newest for that name, which is the caller's now; or NULL. */
struct ssl_session_st *tls_session_take(struct tls_sessions *s, const char *name);

void tls_session_forget(struct tls_sessions *s); /* all */

#endif
