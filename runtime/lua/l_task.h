/* SPDX-License-Identifier: MIT */
/* l_task.h - the Lua face of tasks and scopes.
 *
 * A task is a userdata that contains the C task; until it ends the anchors hold it and its coroutine. Its
 * results, or its error, are in its environment table. */
#ifndef MOONPARK_L_TASK_H
#define MOONPARK_L_TASK_H

#include "lua/face.h"

/* A failed task's environment: the error, its traceback, and at this index the task, for its scope. */
enum { ENDED_TASK = 3 };

/* Starts a task with the function and arguments in the top n values, pops them and pushes the task. */
struct task *l_task_start(lua_State *L, struct ctx *cx, int n, struct scope *parent);

/* The task at idx, or NULL if that is something else. */
struct task *l_task_test(lua_State *L, int idx);

/* Pushes the task's userdata; only until it ends. */
void l_task_push(lua_State *L, const struct task *t);

/* Pushes the scope's userdata; nil if it no longer exists. */
void l_task_push_scope(lua_State *L, const struct scope *sc);

/* t's coroutine has ended or is abandoned: with `reuse`, keeps it for the next task. */
void l_task_drop(lua_State *L, struct ctx *cx, struct task *t, bool reuse);

void l_task_open(lua_State *L); /* adds to the module table on top */

#endif
