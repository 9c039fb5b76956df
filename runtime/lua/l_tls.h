/* SPDX-License-Identifier: MIT */
/* l_tls.h - what a script may know of a connection's TLS: for connections, and for requests that came over one. */
#ifndef MOONPARK_L_TLS_H
#define MOONPARK_L_TLS_H

#include "lua/face.h"
#include "net/conn.h"

/* Pushes {version =, cipher =, ...}; nothing if c is not TLS, or has not shaken hands. Returns how many values. A
 * finalizer may close c meanwhile. */
int l_tls_push_info(lua_State *L, struct conn *c);

/* Pushes the peer's certificate in DER, or nothing; or an error. Returns how many values. */
int l_tls_push_certificate(lua_State *L, struct conn *c);

void l_tls_open(lua_State *L);

#endif
