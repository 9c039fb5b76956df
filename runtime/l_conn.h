/* SPDX-License-Identifier: MIT */
/* l_conn.h - the Lua face of connections and listeners: one class, since both are a conn.
 *
 * Floor 9. The userdata is the struct conn. It is made closed, and opened when the descriptor is
 * there: so no descriptor is ever without an owner that closes it. */
#ifndef MOONPARK_L_CONN_H
#define MOONPARK_L_CONN_H

#include "face.h"

/* Pushes a closed one. */
struct conn *l_conn_new(lua_State *L, struct ctx *cx);

/* For reports: the calling task made c, on the line that runs. */
void l_conn_made_here(lua_State *L, struct ctx *cx, struct conn *c);

/* The conn at idx, or NULL where that is something else. */
struct conn *l_conn_test(lua_State *L, int idx);

/* Starts op on c and ends the face function with its results. */
int l_conn_run(lua_State *L, struct task *t, struct conn *c, enum conn_op op);

/* A closed one of another class, which pushes its own results. */
struct conn *l_conn_new_of(lua_State *L, struct ctx *cx, int meta, const struct conn_face *face);

/* The packet socket at 1; raises on others. */
struct conn *l_conn_packet(lua_State *L);

/* The methods that connections, listeners and packet sockets share. */
extern const luaL_Reg l_conn_common[];
/* The same for one that could not even be started. */
int l_conn_fail(lua_State *L, struct task *t, struct conn *c, enum conn_op op, int code);

/* Pushes op's bytes, and only then takes them away. */
int l_conn_push_bytes(lua_State *L, struct conn *c, const struct operation *op);

void l_conn_open(lua_State *L);

#endif
