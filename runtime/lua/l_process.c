/* SPDX-License-Identifier: MIT */
/* l_process.c - starting a child, and waiting for its end. Two kinds of tasks wait: its keeper, on the pidfd, which
 * then reaps it; and any number of others, in a queue, until it is reaped. */
#include "lua/l_process.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "lua/l_detached.h"
#include "lua/l_signal.h"
#include "net/fdstream.h"
#include "process/child.h"
#include "process/starting.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char process_mark = 0, child_mark = 0;

/* One of a child's three standard descriptors: what it shall be. */
struct end {
    struct conn *ours;  /* our end of a pipe, closed until the child runs */
    struct conn *given; /* a script's connection that is given to the child */
    int choice;         /* as in struct sys_spawn; or the script's descriptor */
};

struct process {
    const void *mark;
    struct child child;
    struct pollDesc *pd;  /* of the pidfd, once the keeper has parked */
    struct list waiters;  /* tasks that wait for its end */
    struct list link;     /* among the context's, until it is reaped */
    struct ctx *cx;
    struct job *job;       /* a starting's, until its result is pushed; NULL once freed */
    struct orphan *orphan; /* for a detached one that does not run yet */
    struct end ends[3];    /* while it is being started: they point at arguments */
};

/* The script's object. Its environment holds the streams and the process. The keeper holds only the process, so it
 * keeps no pipe open that the script has dropped. */
struct child_face {
    const void *mark;
    struct process *process;
};

static struct process *kept(lua_State *L)
{
    return face_self(L, 1, &process_mark, sizeof(struct process), "kept process");
}

static struct process *self(lua_State *L)
{
    struct child_face *f = face_self(L, 1, &child_mark, sizeof *f, "process");
    return f->process;
}

/* ---- starting ---- */

enum { END_FIRST = 4 }; /* the argument of stdin */

static void read_end(lua_State *L, struct ctx *cx, int i, struct end *e)
{
    static const char *const words[] = {"inherit", "null", "stdout", "pipe", NULL};
    static const int choices[] = {SYS_INHERIT, SYS_NULL, SYS_STDOUT, SYS_INHERIT};
    *e = (struct end){.choice = SYS_INHERIT};
    if (lua_type(L, END_FIRST + i) == LUA_TNUMBER) {
        e->choice = (int)lua_tointeger(L, END_FIRST + i);
    } else if (!(e->given = l_conn_test(L, END_FIRST + i))) {
        int word = luaL_checkoption(L, END_FIRST + i, NULL, words);
        e->choice = choices[word];
        if (words[word][0] == 'p') {
            e->ours = l_conn_new(L, cx);
            lua_replace(L, END_FIRST + i);
        }
    }
}

/* The child reads and writes this itself: nothing may be buffered here, and no task may be using it meanwhile. */
static int hand_over(struct conn *c, struct task *t)
{
    if (buf_len(&c->in) > 0 && !c->closed)
        return -EBUSY;
    if (!c->closed && c->stream.ops->covers) /* the descriptor's bytes are not the stream's */
        return -EOPNOTSUPP;
    int r = conn_hold(c, t);
    return r < 0 ? r : sys_set_nonblocking(c->stream.fd, false);
}

/* Tasks that wait for one meanwhile continue, or get "closed". */
static void settle_given(struct process *p, struct task *t, bool gone)
{
    for (int i = 0; i < 3; i++) {
        struct conn *c = p->ends[i].given;
        p->ends[i].given = NULL;
        if (!c || !conn_is_held(c, t))
            continue;
        if (gone)
            conn_close(c);
        else if (!c->closed)
            (void)sys_set_nonblocking(c->stream.fd, true);
        conn_let_go(c);
    }
}

static int prepare_end(struct starting *j, int i, const struct end *e, struct task *t)
{
    if (e->ours)
        return starting_pipe(j, i);
    int r = e->given ? hand_over(e->given, t) : 0;
    if (r < 0 || (!e->given && e->choice < 0))
        return r;
    return starting_lend(j, i, e->given ? e->given->stream.fd : e->choice);
}

/* Returns the complete job; or NULL and why not. */
static struct starting *prepare(struct process *p, struct sys_spawn *s, struct task *t, int *why)
{
    for (int i = 0; i < 3; i++)
        s->fds[i] = p->ends[i].choice < 0 ? p->ends[i].choice : SYS_INHERIT;
    struct starting *j = starting_new(s);
    int r = j ? 0 : -ENOMEM;
    for (int i = 0; i < 3 && r == 0; i++)
        r = prepare_end(j, i, &p->ends[i], t);
    if (r < 0) {
        settle_given(p, t, false);
        if (j)
            j->job.drop(&j->job);
    }
    *why = r;
    return r < 0 ? NULL : j;
}

/* The process takes the child over, and our ends become connections. */
static void take(struct process *p, struct starting *j)
{
    p->child = starting_take(j);
    for (int i = 0; i < 3; i++)
        if (p->ends[i].ours)
            conn_open(p->ends[i].ours, &(struct stream){.ops = &fdstream_ops, .fd = starting_take_pipe(j, i)});
    if (p->orphan)
        l_detached_add(p->cx, p->orphan, p->child.pid);
    p->orphan = NULL;
}

/* Drops what a start holds that will not happen any more. */
static void give_up(struct process *p)
{
    if (p->job)
        pool_release(p->cx->loop.pool, p->job);
    l_detached_free(p->orphan);
    p->orphan = NULL;
    list_del(&p->link);
}

/* The two objects are the first kept arguments. */
static int push_started(lua_State *L, struct task *t)
{
    struct process *p = t->wait.object;
    if (!p->job)
        return face_error(L, t->wait.result); /* canceled */
    struct starting *j = container_of(p->job, struct starting, job);
    if (j->result < 0) {
        int n = face_error(L, j->result);
        give_up(p);
        return n;
    }
    lua_pushvalue(t->op.stack, t->op.base);
    lua_pushvalue(t->op.stack, t->op.base + 1);
    if (t->op.stack != L)
        lua_xmove(t->op.stack, L, 2);
    take(p, j);
    pool_release(p->cx->loop.pool, p->job);
    return 2;
}

/* A connection that a program had, even for a moment, belongs to the program. */
static void leave_start(struct task *t)
{
    struct process *p = t->wait.object;
    if (!p->job || !p->job->under_way)
        return;
    bool none = starting_call_off(container_of(p->job, struct starting, job));
    settle_given(p, t, !none);
    give_up(p);
}

static void describe_start(const struct task *t, char *text, size_t n)
{
    const struct process *p = t->wait.object;
    if (p->job)
        snprintf(text, n, "%s", container_of(p->job, struct starting, job)->s.argv[0]);
}

static const struct wait_kind kind_start = {
    .name = "spawn", .push = push_started, .undo = leave_start, .describe = describe_start};

static void started(struct job *job)
{
    struct starting *j = container_of(job, struct starting, job);
    struct task *t = j->waiter;
    settle_given(t->wait.object, t, j->result == 0);
    sched_wake(t, j->result);
}

/* Parks t; or returns 0 if no thread can do it. */
static int submit(struct task *t, struct process *p, struct starting *j)
{
    int r = sched_park(t, &kind_start, p, 0, WAIT_OUTSIDE);
    if (r < 0)
        return r;
    j->waiter = t;
    j->job.done = started;
    if (loop_submit(&p->cx->loop, &j->job, &p->job) == 0)
        return SCHED_PARKED;
    face_unpark(t);
    return 0;
}

/* here: in this thread. A child that dies with its parent dies with the thread that has started it. */
static int start(struct task *t, struct process *p, struct sys_spawn *s, bool here)
{
    int r;
    struct starting *j = prepare(p, s, t, &r);
    if (!j)
        return r;
    r = here ? 0 : submit(t, p, j);
    if (r == SCHED_PARKED)
        return r;
    if (r == 0) {
        j->job.run(&j->job);
        r = j->result;
    }
    settle_given(p, t, r == 0);
    if (r == 0)
        take(p, j);
    j->job.drop(&j->job);
    return r;
}

static struct process *make(lua_State *L, struct ctx *cx)
{
    struct process *p = face_new(L, FACE_META_KEPT, sizeof *p);
    p->child.pidfd = -1;
    p->mark = &process_mark;
    p->cx = cx;
    list_init(&p->waiters);
    list_init(&p->link);
    return p;
}

/* Pushes the child of p, which is on top; its connections have replaced the arguments. */
static void make_face(lua_State *L, struct process *p)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    struct child_face *f = face_new(L, FACE_META_PROCESS, sizeof *f);
    lua_createtable(L, 1, 4);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    for (int i = 0; i < 3; i++) {
        if (!p->ends[i].ours)
            continue;
        lua_pushvalue(L, END_FIRST + i);
        lua_setfield(L, -2, names[i]);
    }
    lua_setfenv(L, -2);
    f->process = p;
    f->mark = &child_mark;
}

/* The strings of the table at idx in the system's form. They and the array live while they are on the stack. */
static char *const *strings(lua_State *L, int idx)
{
    size_t n = lua_objlen(L, idx);
    const char **list = lua_newuserdata(L, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, idx, (int)i + 1);
        list[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    list[n] = NULL;
    return (char *const *)list;
}

/* process_spawn(argv, environment, cwd or nil, stdin, stdout, stderr, group, session, here) -> process, child, or
 * nil, err, errno */
static int l_spawn(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct task *t = face_task(L, cx);
    struct end ends[3];
    struct sys_spawn s = {.cwd = lua_tostring(L, 3), .group = lua_toboolean(L, 7), .session = lua_toboolean(L, 8)};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (sched_canceled(t))
        return face_error(L, ERR_CANCELED);
    bool here = lua_toboolean(L, 9);
    lua_settop(L, 8);
    s.argv = strings(L, 1);
    s.envp = strings(L, 2);
    for (int i = 0; i < 3; i++)
        read_end(L, cx, i, &ends[i]);
    struct process *p = make(L, cx);
    memcpy(p->ends, ends, sizeof ends);
    make_face(L, p);
    const struct site *site = cx->trace_conns ? site_here(&cx->sites, L, 1) : NULL;
    if (s.session && !(p->orphan = l_detached_new(t->id, site)))
        return face_error(L, -ENOMEM);
    sys_want_children();
    if (!s.session)
        list_push(&cx->processes, &p->link);
    int r = start(t, p, &s, here);
    if (r == SCHED_PARKED) {
        lua_insert(L, 1);
        lua_insert(L, 1); /* the process, the child, the arguments */
        return face_park(L, t);
    }
    if (r == 0)
        return 2;
    give_up(p);
    return face_error(L, r);
}

/* process_adopt(pid) -> process, child | nil, err, errno: a child of ours, and the leader of its group, which an
 * earlier program in this process has started */
static int l_adopt(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct child c = {.pid = luaL_checkint(L, 1), .pidfd = -1, .state = CHILD_RUNNING, .group = true};
    lua_settop(L, 1);
    struct process *p = make(L, cx);
    make_face(L, p);
    c.pidfd = sys_pidfd_open(c.pid);
    if (c.pidfd < 0)
        return face_error(L, c.pidfd);
    p->child = c;
    list_push(&cx->processes, &p->link);
    return 2;
}

/* process_environment() -> {"NAME=value", ...}: ours */
static int l_environment(lua_State *L)
{
    extern char **environ;
    lua_newtable(L);
    for (int i = 0; environ && environ[i]; i++) {
        lua_pushstring(L, environ[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* ---- for the keeper ---- */

static void describe(const struct task *t, char *text, size_t n)
{
    snprintf(text, n, "process %d", (int)((struct process *)t->wait.object)->child.pid);
}

static int attempt_end(struct task *t);

static const struct wait_kind kind_end = {
    .name = "end", .attempt = attempt_end, .undo = netpoll_undo, .describe = describe};

/* Stale readiness (of an earlier wait) is taken, and the task parks again. */
static int wait_end(struct process *p, struct task *t)
{
    int r = 0;
    while (r == 0 && !child_ended(&p->child))
        r = netpoll_wait(p->pd, POLL_R, t, &kind_end, p, t->op.deadline);
    return r;
}

static int attempt_end(struct task *t)
{
    int r = netpoll_waited(t);
    return r == 0 ? wait_end(t->wait.object, t) : r;
}

/* process_await(process[, timeout]) -> true | nil, err: until it has ended; one task at a time */
static int l_await_end(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct process *p = kept(L);
    struct task *t = face_task(L, cx);
    t->op.deadline = face_deadline_in(L, 2, cx);
    int r = sched_canceled(t) ? ERR_CANCELED : 0;
    if (r == 0 && !p->pd && !child_ended(&p->child))
        r = netpoll_open(&cx->loop.netpoll, p->child.pidfd, &p->pd);
    if (r == 0)
        r = wait_end(p, t);
    return r == SCHED_PARKED ? face_park(L, t) : face_return(L, t, face_result(L, r));
}

static void close_poll(struct process *p)
{
    if (!p->pd)
        return;
    netpoll_unblock(p->pd);
    netpoll_close(p->pd);
    p->pd = NULL;
}

/* Its pid is free from now on, and waiting tasks learn how it ended. */
static void reaped(struct process *p)
{
    list_del(&p->link);
    while (!list_empty(&p->waiters))
        sched_wake_waiter(container_of(p->waiters.next, struct waiter, link), 0);
}

/* process_reap(process): it has ended */
static int l_reap(lua_State *L)
{
    struct process *p = kept(L);
    luaL_argcheck(L, child_ended(&p->child), 1, "the process has not ended");
    close_poll(p);
    child_reap(&p->child);
    reaped(p);
    return 0;
}

static void kill_now(struct process *p)
{
    close_poll(p);
    child_kill_now(&p->child);
    reaped(p);
}

/* process_kill_now(process): KILL, and reaps it */
static int l_kill_now(lua_State *L)
{
    kill_now(kept(L));
    return 0;
}

/* process_kill_rest(process): kills the rest of its group after it has ended */
static int l_kill_rest(lua_State *L)
{
    child_kill_rest(&kept(L)->child);
    return 0;
}

/* process_kill(process, name) -> true | nil, err, errno */
static int l_kill_kept(lua_State *L)
{
    struct process *p = kept(L);
    return face_result(L, child_kill(&p->child, l_signal_number(L, 2)));
}

/* process_signal_all(name): signals all except detached ones when the program ends. No more are started */
static int l_signal_all(lua_State *L)
{
    const struct list *all = &face_ctx(L)->processes;
    int signo = l_signal_number(L, 1);
    for (const struct list *l = all->next; l != all; l = l->next) {
        struct process *p = container_of(l, struct process, link);
        if (p->job)
            (void)starting_call_off(container_of(p->job, struct starting, job));
        else
            (void)child_kill(&p->child, signo);
    }
    return 0;
}

/* ---- methods ---- */

static void leave(struct task *t) { list_del(&t->wait.self.link); }

/* "exited", status | "signaled", name | nil, err, errno */
static int push_status(lua_State *L, const struct child *c)
{
    if (c->status < 0)
        return face_error(L, c->status);
    lua_pushstring(L, c->signo ? "signaled" : "exited");
    if (!c->signo)
        lua_pushinteger(L, c->status);
    else if (l_signal_name(c->signo))
        lua_pushstring(L, l_signal_name(c->signo));
    else
        lua_pushfstring(L, "%d", c->signo);
    return 2;
}

static int push_waited(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    return push_status(L, &((struct process *)t->wait.object)->child);
}

static const struct wait_kind kind_wait = {
    .name = "wait", .push = push_waited, .undo = leave, .describe = describe};

/* wait([timeout]) -> "exited", status | "signaled", name | nil, err, errno */
static int l_wait(lua_State *L)
{
    struct process *p = self(L);
    struct ctx *cx = face_ctx(L);
    int64_t deadline = face_deadline_in(L, 2, cx);
    struct task *t = face_task(L, cx);
    if (p->child.detached)
        return luaL_error(L, "a detached process cannot be waited for");
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (p->child.state == CHILD_REAPED)
        return face_return(L, t, push_status(L, &p->child));
    int r = sched_park(t, &kind_wait, p, deadline, 0);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    list_push(&p->waiters, &t->wait.self.link);
    return face_park(L, t);
}

/* kill([name]) -> true | nil, err, errno */
static int l_kill(lua_State *L)
{
    struct process *p = self(L);
    int signo = lua_isnoneornil(L, 2) ? SIGTERM : l_signal_number(L, 2);
    return face_result(L, child_kill(&p->child, signo));
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, self(L)->child.pid);
    return 1;
}

static int l_is_running(lua_State *L)
{
    lua_pushboolean(L, !child_ended(&self(L)->child));
    return 1;
}

/* Methods, and its streams by name. */
static int l_index(lua_State *L)
{
    (void)self(L);
    lua_settop(L, 2);
    lua_getmetatable(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1) && lua_type(L, 2) == LUA_TSTRING) {
        lua_getfenv(L, 1);
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
    }
    return 1;
}

static int l_tostring(lua_State *L)
{
    lua_pushfstring(L, "process %d", (int)self(L)->child.pid);
    return 1;
}

static int l_gc(lua_State *L)
{
    struct process *p = face_test(L, 1, &process_mark, sizeof *p);
    if (!p)
        return 0;
    if (p->job) /* its task is gone */
        (void)starting_call_off(container_of(p->job, struct starting, job));
    give_up(p);
    if (p->child.detached)
        child_reap(&p->child);
    else
        kill_now(p);
    return 0;
}

static const luaL_Reg methods[] = {
    {"__tostring", l_tostring}, {"is_running", l_is_running}, {"kill", l_kill}, {"pid", l_pid},
    {"wait", l_wait},   {NULL, NULL},
};

static const luaL_Reg kept_methods[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"process_adopt", l_adopt},
    {"process_await", l_await_end},     {"process_environment", l_environment}, {"process_kill", l_kill_kept},
    {"process_kill_now", l_kill_now},   {"process_kill_rest", l_kill_rest},     {"process_reap", l_reap},
    {"process_signal_all", l_signal_all}, {"process_spawn", l_spawn},           {NULL, NULL},
};

void l_process_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    list_init(&cx->processes);
    face_class(L, FACE_META_KEPT, "moonpark.kept", kept_methods);
    face_class(L, FACE_META_PROCESS, "moonpark.process", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_PROCESS);
    lua_pushcfunction(L, l_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    face_functions(L, functions);
}
