/* SPDX-License-Identifier: MIT */
/* l_conn.h - the Lua face of connections and listeners: one class, since both are a conn.
 *
 * The userdata is the struct conn. It is made closed and opened once the descriptor exists, so that every descriptor
 * has an owner that closes it. */
#ifndef MOONPARK_L_CONN_H
#define MOONPARK_L_CONN_H

#include "lua/face.h"

/* Pushes a closed connection. */
struct conn *l_conn_new(lua_State *L, struct ctx *cx);

/* For reports: records that the calling task made c, on the current line. */
void l_conn_made_here(lua_State *L, struct ctx *cx, struct conn *c);

/* The conn at idx, or NULL if that is something else. */
struct conn *l_conn_test(lua_State *L, int idx);

/* Builds the results of an operation that has ended: t->op and t->wait.result. May be called again, see sched.h. */
typedef int l_conn_push(lua_State *L, struct task *t);

/* Starts op on c and ends the face function with its results, which push builds. */
int l_conn_run(lua_State *L, struct task *t, struct conn *c, const struct conn_op *op, l_conn_push *push);

/* Like l_conn_new, for another class. */
struct conn *l_conn_new_of(lua_State *L, struct ctx *cx, int meta);

/* The connection at 1; raises on others. */
struct conn *l_conn_self(lua_State *L);

/* The connection, listener or packet socket at 1; raises on others. */
struct conn *l_conn_any(lua_State *L);

/* The packet socket at 1; raises on others. */
struct conn *l_conn_packet(lua_State *L);

/* The methods that connections, listeners and packet sockets share. */
extern const luaL_Reg l_conn_common[];

/* Like l_conn_run, for an operation that failed with `code` before it could start. */
int l_conn_fail(lua_State *L, struct task *t, struct conn *c, int code, l_conn_push *push);

/* Pushes the bytes that a read found in `in`, and consumes them only then; or an error. */
l_conn_push l_conn_push_held;

/* Pushes the bytes written; or nil, err, errno, bytes written. */
l_conn_push l_conn_push_written;

/* Pushes true, or an error. */
l_conn_push l_conn_push_done;

/* Pushes the connection; or closes it and pushes an error. */
l_conn_push l_conn_push_connected;

void l_conn_open(lua_State *L);

#endif
