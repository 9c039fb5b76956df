/* SPDX-License-Identifier: MIT */
/* l_conn.h - the Lua face of connections and listeners: one class, since both are a conn.
 *
 * The userdata is the struct conn. It is made closed, and opened when the descriptor is
 * there: so no descriptor is ever without an owner that closes it. */
#ifndef MOONPARK_L_CONN_H
#define MOONPARK_L_CONN_H

#include "lua/face.h"

/* Pushes a closed one. */
struct conn *l_conn_new(lua_State *L, struct ctx *cx);

/* For reports: the calling task made c, on the line that runs. */
void l_conn_made_here(lua_State *L, struct ctx *cx, struct conn *c);

/* The conn at idx, or NULL where that is something else. */
struct conn *l_conn_test(lua_State *L, int idx);

/* Builds the results of an operation that has ended: t->op and t->wait.result. May be called again, see sched.h. */
typedef int l_conn_push(lua_State *L, struct task *t);

/* Starts op on c and ends the face function with its results, which push builds. */
int l_conn_run(lua_State *L, struct task *t, struct conn *c, const struct conn_op *op, l_conn_push *push);

/* A closed one of another class. */
struct conn *l_conn_new_of(lua_State *L, struct ctx *cx, int meta);

/* The connection at 1; raises on others. */
struct conn *l_conn_self(lua_State *L);

/* The packet socket at 1; raises on others. */
struct conn *l_conn_packet(lua_State *L);

/* The methods that connections, listeners and packet sockets share. */
extern const luaL_Reg l_conn_common[];

/* The same for one that could not even be started. */
int l_conn_fail(lua_State *L, struct task *t, struct conn *c, int code, l_conn_push *push);

/* Pushes the bytes that a read has found in `in`, and only then takes them away; or why not. */
l_conn_push l_conn_push_held;

/* Bytes written; or nil, err, errno, bytes written. */
l_conn_push l_conn_push_written;

/* true, or why not. */
l_conn_push l_conn_push_done;

/* The connection; or why not, and it is closed. */
l_conn_push l_conn_push_connected;

void l_conn_open(lua_State *L);

#endif
