/* SPDX-License-Identifier: MIT */
/* l_task.h - the Lua face of tasks and scopes.
 *
 * What scripts hold is a handle, a small userdata. The C task is used again once it has ended, with its coroutine; the
 * handle then knows how it ended, and has its results, or its error, in its environment table. Until then the anchors
 * hold the handle and the coroutine. */
#ifndef MOONPARK_L_TASK_H
#define MOONPARK_L_TASK_H

#include "lua/face.h"

/* A failed task's environment: the error, its traceback, and at this index the task, for its scope. */
enum { ENDED_TASK = 3 };

struct task_face {
    const void *mark;
    struct task *task; /* NULL once it has ended: then what is below holds */
    uint64_t id;       /* this and the next one always hold */
    const struct site *site;
    int values;
    bool failed, canceled, awaited;
    bool locals; /* until it has ended its environment is its table of locals ... */
    bool alone;  /* ... which no other task has */
};

/* The handle at idx, or NULL. */
struct task_face *l_task_face(lua_State *L, int idx);

/* t, which runs, works for somebody else from now on. */
static inline void l_task_forget_locals(struct task *t) { ((struct task_face *)t->handle)->locals = false; }

/* Pushes how the task of the handle on top of L has ended: true and its results; or the token: fetch them with
 * results(). Returns how many values. */
int l_task_push_ended(lua_State *L, const struct task_face *target);

/* Starts a task with the function and arguments in the top n values, pops them and pushes the task. */
struct task *l_task_start(lua_State *L, struct ctx *cx, int n, struct scope *parent);

/* Is a task at idx? */
bool l_task_is(lua_State *L, int idx);

/* The task at idx, or NULL if it has ended or that is something else. */
struct task *l_task_test(lua_State *L, int idx);

/* Pushes the task's userdata; only until it ends. */
void l_task_push(lua_State *L, const struct task *t);

/* Pushes the scope's userdata; nil if it no longer exists. */
void l_task_push_scope(lua_State *L, const struct scope *sc);

/* The running task t is over; with `reuse`, its coroutine is kept for the next one. */
void l_task_end(lua_State *L, struct ctx *cx, struct task *t, bool reuse);

void l_task_open(lua_State *L); /* adds to the module table on top */

#endif
