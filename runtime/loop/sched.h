/* SPDX-License-Identifier: MIT */
/* sched.h - tasks: the ready queue, parking, waking, cancelling, ending.
 *
 * Uses timers. Calls no function of Lua and knows no descriptor: a task is a wait node with a place in the ready
 * queue. It carries the task's lua_State pointers and a few fields for the runner, which decides what a task runs.
 *
 *   state     means                                  leaves by
 *   READY     in the ready queue                     the runner takes it: RUNNING
 *   RUNNING   on the processor (at most one)         sched_park, sched_give_way, sched_finish
 *   PARKED    waiting; its wait node says for what   sched_wake, sched_cancel: READY
 *   DONE      ended; perhaps a handle still exists   never
 *
 * Every park is one wait node. Every way to end a park calls `undo`, which removes the node from all queues
 * it is in. So a waiter that was cancelled or timed out is never left in a lock, a channel or a descriptor,
 * and an object never hands something to a task that is gone. */
#ifndef MOONPARK_SCHED_H
#define MOONPARK_SCHED_H

#include "base/list.h"
#include "loop/timers.h"

struct lua_State;
struct task;
struct site;

enum { SCHED_PARKED = 1 }; /* an attempt's result: not finished, the task has parked again */

/* A place in an object's queue. A plain wait has one, inside its task; a select has one per case. */
struct waiter {
    struct list link;
    struct task *task;
    uint32_t index; /* which case of a select (1 ...), or the side of a plain wait on a descriptor */
    int value;      /* stack index, in the task, of the value that it offers */
};

enum {
    WAIT_OUTSIDE = 1,   /* a descriptor, timer or helper thread can end it: not a deadlock */
    WAIT_SHIELDED = 2,  /* cancelling does not end it */
};

/* The name and the steps of a kind of wait; a constant of the file that parks. */
struct wait_kind {
    const char *name; /* in the dump: "read", "sleep", "lock" */

    /* Called after a wake, before the task runs: finishes the operation. Returns SCHED_PARKED, or 0 or a count or
     * a negative code, which becomes wait.result. NULL: the result of the wake is final. */
    int (*attempt)(struct task *t);

    /* Builds the operation's results on a Lua stack and returns how many. May raise, and is then called
     * again: it consumes nothing before its last push. NULL: the results are true, or nil, text, errno. */
    int (*push)(struct lua_State *L, struct task *t);

    /* Removes the node from its queues; must be harmless when called twice. */
    void (*undo)(struct task *t);

    /* When the object's own deadline passes: ns, 0: it has none. NULL: objects of this kind have none. */
    int64_t (*deadline)(const struct task *t);

    /* Describes what is waited for, for reports; NULL: the name is enough. */
    void (*describe)(const struct task *t, char *text, size_t n);
};

struct wait {
    const struct wait_kind *kind;
    void *object;         /* what is waited for: a connection, channel, lock, task, ... */
    void *extra;          /* private to the kind */
    int64_t since;        /* ns */
    struct timer timer;   /* the deadline of this wait */
    struct waiter self;   /* its place in a queue; a link in no list points at itself */
    int result;           /* 0 or a count, or a negative code */
    uint32_t index;       /* the waiter that was woken */
    uint32_t fdseq;       /* netpoll's: the generation it waits on */
    bool outside;         /* counted in sched.outside */
    bool shielded;        /* cancelling does not end it */
};

enum task_state { TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_DONE };

/* An operation that may continue later. Its parameters are kept here, safe from changes of Lua stacks. */
struct operation {
    int64_t deadline;        /* ns, 0: none; of the whole operation, however often it parks */
    int64_t until;           /* netpoll's: the deadline of the present wait */
    struct lua_State *stack; /* where its Lua arguments are: the caller's, then the task's */
    int base;                /* the first one's index there */
    int (*push)(struct lua_State *L, struct task *t); /* builds its results; the face's */
    size_t length, total;    /* bytes to move and moved so far; of a read: handed out, and to be consumed */
    uint64_t state[5];       /* its parameters: a struct defined in its file */
};

/* The parameters of t's operation, as its struct. */
#define OPERATION(t, type) \
    ((type *)((t)->op.state + 0 * sizeof(char[sizeof(type) <= sizeof (t)->op.state ? 1 : -1])))

struct task {
    struct list link; /* the ready queue's */
    struct sched *sched;
    struct wait wait;
    struct operation op;
    struct scope *scope;      /* its innermost open scope */
    struct scope *parent;     /* the scope it was started in, or NULL */
    struct list sibling;      /* among parent's children */
    struct list joiners;      /* waiters of the tasks that are joining this one */
    struct task *next;        /* in the work list of a cancellation */
    uint64_t id, creator;     /* creator: the starting task's id, 0: outside any task */
    const struct site *site;  /* where it was started */
    struct lua_State *L;      /* its coroutine, NULL once it ended */
    struct lua_State *parked; /* the coroutine that called the wait: L or a generator inside it */
    void *owned;              /* the runner's: a connection that is closed when the task ends */
    void *handle;             /* the runner's: what scripts hold */
    uint32_t slot;            /* the runner's: where its coroutine is anchored */
    int values;               /* ready, with this many values on its own stack; or -1 */
    int held;                 /* the runner's: how many values its last wait yielded */
    uint32_t budget;          /* operations left before it must yield */
    uint32_t refused;         /* waits in a row that its cancellation has refused */
    uint8_t state;
    bool heedless;            /* the runner's: it was reported that it goes on though it is cancelled */
    bool canceled;            /* the whole task, by task:cancel() */
    bool failed;              /* ended by an error */
    bool awaited;             /* a task was waiting for it when it ended, and learns of it */
    bool daemon;              /* the loop ends without it */
    bool attendant;           /* the same, and its waits do not count: see sched_attend */
};

/* A part of one task that can be cancelled by itself: timeout(), shield(), scope(). */
struct scope {
    struct scope *outer; /* of the same task */
    struct task *owner;
    struct scope **handle; /* set to NULL when the scope closes; NULL if there is no handle */
    struct list children;  /* tasks started in it, by `sibling` */
    struct timer timer;    /* timeout(): cancels when it fires */
    bool canceled;
    bool delivered; /* its cancelling has refused or ended a wait inside, or cancelled a child */
    bool shield;    /* cancelling from outside does not reach in */
    bool joining;   /* its owner is parked until the children have ended */
};

struct sched {
    struct list ready;
    struct timers *timers;
    struct task *running;
    int64_t now; /* the loop's clock, read once a turn */
    uint64_t last_id;
    uint32_t alive;   /* tasks not DONE, without daemons */
    uint32_t outside; /* parked tasks that something outside can wake, and armed scope timers */
};

void sched_init(struct sched *s, struct timers *timers);

/* Makes t (zeroed) a task, at the end of the ready queue; parent: the scope it belongs to, or NULL. */
void sched_start(struct sched *s, struct task *t, struct scope *parent);

/* Returns the next ready task, now RUNNING; NULL if none is ready. */
struct task *sched_next(struct sched *s);

/* Parks the running task t. deadline: ns, 0 for none. The caller then puts wait.self in its queue.
 * Returns 0; or ERR_CANCELED, ERR_TIMEOUT, -ENOMEM with the task still RUNNING. */
int sched_park(struct task *t, const struct wait_kind *kind, void *object, int64_t deadline,
               unsigned flags);

/* Puts the running task at the end of the ready queue. */
void sched_give_way(struct task *t);

/* The same for an operation that continues in kind->attempt after the other tasks ran. Returns SCHED_PARKED. */
int sched_again(struct task *t, const struct wait_kind *kind, void *object);

/* Ends a park: undo, then the ready queue; only then is the outside count lowered. */
void sched_wake(struct task *t, int result);

/* The same, and notes which waiter of the task it was. */
void sched_wake_waiter(struct waiter *w, int result);

/* Notes that something outside can, or no longer can, end t's park: a deadline was set or removed. */
void sched_set_outside(struct task *t, bool outside);

/* Marks t cancelled, ends its park unless it is shielded, and cancels the children of its scopes. */
void sched_cancel(struct task *t);

/* Would a wait of t be refused now? If so, notes it in the scope that is the cause. */
bool sched_canceled(struct task *t);

/* The running task has ended: wakes joiners, leaves its scope, closes the scopes it left open. */
void sched_finish(struct task *t);

/* The running task becomes an attendant: it serves the others, such as by reading from a supervisor. The loop ends
 * without it, and where the others are deadlocked, its waits do not hide that. */
void sched_attend(struct task *t);

/* The loop ends without t, which may wake others meanwhile; or no longer does. Tasks that start in a scope of t, which
 * waits for them, are like it. */
void sched_set_daemon(struct task *t, bool daemon);

/* Both are ready: `first` and `second` come before all others. */
void sched_put_first(struct task *first, struct task *second);

/* Something outside that no wait names will wake a task, such as an attendant's next message: n more of these, or fewer
 * where n is negative. */
void sched_expect(struct sched *s, int n);

/* Opens a new innermost scope of t. NULL: no memory. Scopes may be closed in any order. */
struct scope *sched_scope_open(struct task *t, bool shield);
int sched_scope_deadline(struct scope *sc, int64_t when);
void sched_scope_cancel(struct scope *sc);
void sched_scope_close(struct scope *sc); /* frees it; remaining children pass to the scope outside it */
void sched_scope_renew(struct scope *sc); /* as if just opened: for an owner that uses it again */
bool sched_scope_joined(const struct scope *sc); /* its owner is in sched_scope_join */

/* Closes a scope to which its owner can never return (a generator that was dropped): its children are
 * cancelled, but not the owner, which is elsewhere by now. */
void sched_scope_abandon(struct scope *sc);

/* Parks the running task, the owner, until sc has no children. Returns SCHED_PARKED, or 0 if it has none. */
int sched_scope_join(struct scope *sc);

void sched_check(const struct sched *s);

#endif
