/* SPDX-License-Identifier: MIT */
/* face.h - what every Lua face needs: the context, argument checks, results, and how a task parks.
 *
 * There is one context per Lua state, in the first upvalue of every face function.
 *
 * Parking. A face function that must wait yields (token, its arguments ...). They stay on the suspended
 * coroutine's stack and so keep alive what the operation uses. A generator inside the task (coroutine.wrap)
 * passes them up to the task's own coroutine, where they are found from FACE_ARGUMENT on. The runner finishes
 * the operation, removes them, and resumes the coroutine with the results. */
#ifndef MOONPARK_FACE_H
#define MOONPARK_FACE_H

#include "base/spelling.h"
#include "loop/loop.h"
#include "lua/site.h"
#include "net/conn.h"
#include "net/kpipe.h"
#include "net/resolver.h"
#include "ws/ws_keys.h"

#include <lauxlib.h>
#include <lua.h>

enum {
    FACE_UP_CONTEXT = 1, /* upvalues of every face function */
    FACE_UP_ANCHORS = 2, /* table: keeps alive what C points at; see FACE_META_TASK ... and face_thread_key */
    FACE_ARGUMENT = 2,   /* stack index of a parked function's first argument */
};

/* Keys in the anchors. All are small and positive, and those of the slots follow without gaps: so the table is
 * only an array, and growing it either works or leaves it whole. (If a table of LuaJIT's also has a hash part, a
 * failed allocation in the middle of growing hides some of its entries.) */
enum {
    FACE_META_TASK = 1,
    FACE_META_SCOPE,
    FACE_META_CONN,
    FACE_META_PACKET,
    FACE_META_POLL,
    FACE_META_SENDFILE,
    FACE_META_HOSE,
    FACE_META_CHAN,
    FACE_META_MUTEX,
    FACE_META_SEMAPHORE,
    FACE_META_EVENT,
    FACE_META_HTTP_SERVER,
    FACE_META_HTTP_EXCHANGE,
    FACE_META_HTTP_READER,
    FACE_META_HTTP_FILE,
    FACE_META_HTTP_ROUTER,
    FACE_META_SIGNALS,
    FACE_META_CALL,
    FACE_META_FILE,
    FACE_META_FD,
    FACE_META_FDS,
    FACE_META_ANSWER, /* a lookup that a task waits for */
    FACE_META_PROCESS,
    FACE_META_KEPT,
    FACE_META_WEBSOCKET,
    FACE_META_GROUP,  /* of WebSockets */
    FACE_META_TEXT,   /* of JSON that is being encoded */
    FACE_META_TLS_SETUP,
    FACE_META_TLS_CONTEXT,
    FACE_META_X509, /* keys and certificates that a call works on */
    FACE_META_SHARED_DICT,
    FACE_META_SHARED_COUNTER,
    FACE_META_SHARED_COUNTERS, /* the memory of all of them */
    FACE_META_WRITER,
    FACE_SCOPES,      /* weak table: [scope's address] = its userdata, once it has started a task */
    FACE_HOOK_ENDED,  /* function(task, scope, connection): called for each task that failed */
    FACE_HOOK_SIGNAL, /* function(number) */
    FACE_HOOK_TLS,    /* function(choose, context, question, name, protocol): which certificate */
    FACE_TLS_CHOOSERS, /* ctx.choosers */
    FACE_HOOK_IDLE,   /* function(blocks): before the loop blocks, or at idle_timer's time */
    FACE_HOOK_HEEDLESS, /* function(task, coroutine): it is cancelled, and goes on */
    FACE_NO_MEMORY,   /* a string that needs no allocation when it is needed */
    FACE_JSON,        /* the text of which the memory is used again */
    FACE_TURNS,       /* the runner's protected function, made before it is needed */
    FACE_TASKS,       /* array of userdata, which are the memory of tasks */
    FACE_KEYS,        /* slots begin here */
};

/* The keys of a slot's (1 ...) coroutine, and of the task in it. */
static inline int face_thread_key(uint32_t slot) { return (int)(FACE_KEYS + 2 * slot - 2); }
static inline int face_task_key(uint32_t slot) { return (int)(FACE_KEYS + 2 * slot - 1); }

struct ctx {
    struct loop loop;
    lua_State *L;             /* the state that runs the loop; NULL while it does not run */
    lua_State **threads;      /* by slot - 1: coroutines, including idle ones */
    struct task **tasks;      /* by slot - 1: their tasks, including those that have ended; userdata hold them */
    uint32_t *idle;           /* slots whose task has ended */
    uint32_t slots, idle_count, slot_capacity;
    uint32_t places;          /* there is memory for that many tasks */
    struct sites sites;
    struct resolver resolver;
    uint32_t random;
    bool opened;              /* loop_open has succeeded */
    bool ended;               /* the Lua state is being closed: there is no loop any more */
    bool watch_idle;          /* call the idle hook */
    struct timer idle_timer;  /* ends a block of the loop, so that the hook is called again */
    bool trace_conns;         /* remember where connections and pollDescs are made, and by which task */
    uint64_t last_id;         /* of one of those */
    struct kpipes kpipes;     /* for copies that splice */
    struct ws_keys ws_keys;   /* for WebSockets' masks */
    struct list polls;        /* the scripts' open pollDescs */
    struct list signals;      /* the scripts' open subscriptions to signals */
    struct list files;        /* the scripts' open files */
    struct list processes;    /* child processes that are not reaped yet, except detached ones */
    struct buf stdout_lines;  /* that are to leave at the end of the turn: l_stdout.c */
    struct late stdout_late;
    struct writer *writers[2]; /* of the standard output and error; NULL at the end: l_writer.c */
    struct list dicts, counters; /* shared memory that is open: l_shared.c */
    struct heartbeat *shared_beat; /* where other processes read it; NULL: nowhere */
    lua_State *choosers;      /* runs nothing: its first value is the table of functions that choose certificates */
    struct list orphans;      /* detached child processes: l_detached.c */
    lua_Alloc alloc;          /* hard build: the allocator that ours wraps */
    void *alloc_data;
    uint8_t phase;            /* the runner's: what an error on the loop's own stack interrupts */
    uint8_t tries;            /* the runner's: how often the current step was tried without success */
    bool interrupted;         /* the runner's: an error on the loop's own stack must be handled */
};

static inline struct ctx *face_ctx(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(FACE_UP_CONTEXT));
}

/* The context, with its loop open; raises if the poller cannot be opened. */
struct ctx *face_loop(lua_State *L);

/* The calling task; raises outside tasks, and if a C function in between makes waiting impossible. */
struct task *face_task(lua_State *L, struct ctx *cx);

/* The task this Lua code belongs to, or NULL. */
static inline struct task *face_running(struct ctx *cx) { return cx->loop.sched.running; }

/* Its id, or 0. */
static inline uint64_t face_running_id(struct ctx *cx)
{
    return face_running(cx) ? face_running(cx)->id : 0;
}

/* Where the script calls this C function; in a task that runs no code of the script: where that task was started. */
const struct site *face_site(struct ctx *cx, lua_State *L);

/* Ends a face function by parking: `return face_park(L, t)`. Keeps the arguments. */
int face_park(lua_State *L, struct task *t);

/* Ends a face function with the n values on top, after the other tasks have run. */
int face_yield(lua_State *L, struct task *t, int n);

/* The same at once, or after the other tasks if the task has used up its budget of operations. */
int face_return(lua_State *L, struct task *t, int n);

/* Pushes nil, the text, and errno if the system gave one; returns how many values. */
int face_error(lua_State *L, int code);

/* Pushes true, or an error if code is negative. */
int face_result(lua_State *L, int code);

/* Makes a parked or queued t RUNNING again as if it had not called: for functions that cannot yield. */
void face_unpark(struct task *t);

/* The userdata at idx whose first word is `mark`, or raises "NAME expected, got X". */
void *face_self(lua_State *L, int idx, const void *mark, size_t size, const char *name);

/* The same, or NULL. */
void *face_test(lua_State *L, int idx, const void *mark, size_t size);

/* The number at idx; nil or none: `otherwise`. A string that looks like a number raises, as it does in the Lua
 * modules. */
lua_Number face_number(lua_State *L, int idx);
lua_Number face_number_or(lua_State *L, int idx, lua_Number otherwise);

/* Seconds at idx as ns. nil, none and inf: -1, no limit. Negative: 0. NaN raises. */
int64_t face_timeout(lua_State *L, int idx);

/* The same as an absolute deadline, counted from now: 0: none; negative: at once. */
int64_t face_deadline_in(lua_State *L, int idx, struct ctx *cx);

/* Absolute seconds on moonpark.now()'s clock at idx: ns; 0: none (nil, inf); -1: passed. */
int64_t face_deadline_at(lua_State *L, int idx, struct ctx *cx);

/* A whole number of bytes at idx, at least `least`; nil or none: `otherwise`. Raises for other values. */
size_t face_size(lua_State *L, int idx, size_t least, size_t otherwise);

/* Raises "unknown WHAT 'word'" for the argument at idx, with what was meant: s has been shown all words that there
 * are. */
int face_unknown(lua_State *L, int idx, const char *what, const struct spelling *s);

/* Makes the metatable of a class: its methods (with context and anchors as upvalues), __index is itself.
 * The anchors hold it under `meta`. */
void face_class(lua_State *L, int meta, const char *name, const luaL_Reg *methods);

/* Pushes a zeroed userdata of that class. */
void *face_new(lua_State *L, int meta, size_t size);

/* Adds functions with the upvalues to the table on top. */
void face_functions(lua_State *L, const luaL_Reg *functions);

extern const char face_token; /* its address is the parked token */

/* Are the values on L exactly those that t's current wait has yielded? */
static inline bool face_is_parked(lua_State *L, const struct task *t)
{
    return lua_touserdata(L, 1) == (const void *)&face_token && lua_gettop(L) == t->held;
}

#endif
