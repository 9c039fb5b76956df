/* SPDX-License-Identifier: MIT */
/* l_process.c - starting a child, and waiting for its end. Two kinds of tasks wait: its keeper on the pidfd, which
 * then reaps it; and any number of others in a queue, until it is reaped. */
#include "l_process.h"

#include "child.h"
#include "errors.h"
#include "fdstream.h"
#include "l_conn.h"
#include "l_signal.h"
#include "signals.h"
#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char process_mark = 0, child_mark = 0;

struct process {
    const void *mark;
    struct child child;
    struct pollDesc *pd;  /* of the pidfd, once the keeper has parked */
    struct list waiters;  /* tasks that want to hear how it ended */
    struct list link;     /* among the context's, until it is reaped */
};

/* Of a detached one, until it is reaped: its userdata may be gone before. */
struct orphan {
    struct list link;
    pid_t pid;
    uint64_t id, creator; /* as struct conn's */
    const struct site *site;
};

/* What a script has. Its environment has the streams, and the process: its keeper, which has the process alone,
 * keeps no pipe open that nobody else knows. */
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

/* ---- detached ones ---- */

static void drop_orphan(struct orphan *o)
{
    list_del(&o->link);
    sys_free(o);
}

static void reap_orphans(struct ctx *cx)
{
    if (list_empty(&cx->orphans))
        return;
    for (struct list *l = cx->orphans.next, *next; l != &cx->orphans; l = next) {
        struct orphan *o = container_of(l, struct orphan, link);
        next = l->next;
        if (child_reap_detached(o->pid))
            drop_orphan(o);
    }
    if (list_empty(&cx->orphans))
        signals_unwatch(cx->loop.poller, SIGCHLD, false);
}

void l_process_signaled(struct ctx *cx, int signo)
{
    if (signo == SIGCHLD)
        reap_orphans(cx);
}

/* process_detached() -> an array of {text, id, creator, site}, one for each that has not ended */
static int l_detached(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    int n = 0;
    reap_orphans(cx);
    lua_newtable(L);
    for (const struct list *l = cx->orphans.next; l != &cx->orphans; l = l->next) {
        const struct orphan *o = container_of(l, struct orphan, link);
        lua_createtable(L, 0, 4);
        lua_pushfstring(L, "detached process %d", (int)o->pid);
        lua_setfield(L, -2, "text");
        lua_pushnumber(L, (lua_Number)o->id);
        lua_setfield(L, -2, "id");
        lua_pushnumber(L, (lua_Number)o->creator);
        lua_setfield(L, -2, "creator");
        site_push(L, o->site);
        lua_setfield(L, -2, "site");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* process_end_detached(id): ends that one's session, at once */
static int l_end_detached(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = luaL_checknumber(L, 1);
    reap_orphans(cx); /* after that the numbers are those of our children */
    for (const struct list *l = cx->orphans.next; l != &cx->orphans; l = l->next) {
        const struct orphan *o = container_of(l, struct orphan, link);
        if ((lua_Number)o->id == id)
            (void)sys_kill_group(o->pid, SIGKILL);
    }
    return 0;
}

void l_process_close(struct ctx *cx)
{
    while (!list_empty(&cx->orphans))
        drop_orphan(container_of(cx->orphans.next, struct orphan, link));
}

/* Prepared before the process is started. */
static struct orphan *expect_orphan(struct ctx *cx)
{
    struct orphan *o = sys_alloc(sizeof *o);
    if (!o)
        return NULL;
    list_init(&o->link);
    if (list_empty(&cx->orphans))
        (void)signals_watch(cx->loop.poller, SIGCHLD, false);
    list_push(&cx->orphans, &o->link);
    return o;
}

static void forget_orphan(struct ctx *cx, struct orphan *o)
{
    drop_orphan(o);
    if (list_empty(&cx->orphans))
        signals_unwatch(cx->loop.poller, SIGCHLD, false);
}

/* ---- starting ---- */

/* The strings of the table at idx as the system wants them. They and the array stay while they are on the stack. */
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

/* One of a child's three: what it is told to be, the connection we keep, and descriptors to close. */
struct end {
    struct conn *ours;  /* of a pipe, closed until the child runs */
    struct conn *given; /* a script's connection that goes to the child */
    int fd, theirs;     /* of a pipe; -1 */
    int choice;         /* as in struct sys_spawn */
};

enum { END_FIRST = 4 }; /* the argument of stdin */

static void read_end(lua_State *L, struct ctx *cx, int i, struct end *e)
{
    static const char *const words[] = {"inherit", "null", "stdout", "pipe", NULL};
    static const int choices[] = {SYS_INHERIT, SYS_NULL, SYS_STDOUT, 0};
    *e = (struct end){.fd = -1, .theirs = -1};
    if (lua_type(L, END_FIRST + i) == LUA_TNUMBER) {
        e->choice = (int)lua_tointeger(L, END_FIRST + i);
    } else if ((e->given = l_conn_test(L, END_FIRST + i))) {
        e->choice = e->given->stream.fd;
    } else {
        int word = luaL_checkoption(L, END_FIRST + i, NULL, words);
        e->choice = choices[word];
        if (words[word][0] == 'p') {
            e->ours = l_conn_new(L, cx);
            lua_replace(L, END_FIRST + i);
        }
    }
}

static int open_pipe(struct end *e, bool child_reads)
{
    int fds[2];
    int r = sys_pipe(fds);
    if (r < 0)
        return r;
    e->theirs = e->choice = fds[child_reads ? 0 : 1];
    e->fd = fds[child_reads ? 1 : 0];
    return sys_set_nonblocking(e->theirs, false); /* the two ends are two descriptions */
}

/* What a child gets it reads and writes by itself: nothing may be left here, and nobody wait here. */
static int hand_over(struct end *e)
{
    struct conn *c = e->given;
    if (c->closed)
        return ERR_CLOSED;
    if (c->side[POLL_R].holder || c->side[POLL_W].holder || buf_len(&c->in) > 0)
        return -EBUSY;
    return sys_set_nonblocking(c->stream.fd, false);
}

static int open_ends(struct end ends[3])
{
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++) {
        if (ends[i].ours)
            r = open_pipe(&ends[i], i == 0);
        else if (ends[i].given)
            r = hand_over(&ends[i]);
    }
    return r;
}

/* started: ours become connections, and what was given is the child's alone. */
static void settle_ends(struct end ends[3], bool started)
{
    for (int i = 0; i < 3; i++) {
        struct end *e = &ends[i];
        if (e->theirs >= 0)
            sys_close(e->theirs);
        if (e->fd >= 0 && started)
            conn_open(e->ours, &(struct stream){.ops = &fdstream_ops, .fd = e->fd});
        else if (e->fd >= 0)
            sys_close(e->fd);
        if (e->given && started)
            conn_close(e->given);
        else if (e->given && !e->given->closed)
            (void)sys_set_nonblocking(e->given->stream.fd, true);
    }
}

static int start(struct ctx *cx, struct process *p, struct sys_spawn *s, struct end ends[3], const struct site *site)
{
    struct orphan *o = NULL;
    if (s->session && !(o = expect_orphan(cx)))
        return -ENOMEM;
    int r = open_ends(ends);
    for (int i = 0; i < 3; i++)
        s->fds[i] = ends[i].choice;
    if (r == 0)
        r = child_spawn(&p->child, s);
    settle_ends(ends, r == 0);
    if (r < 0 && o)
        forget_orphan(cx, o);
    else if (o)
        *o = (struct orphan){.link = o->link, .pid = p->child.pid, .id = ++cx->last_id,
                             .creator = face_running_id(cx), .site = site};
    return r;
}

static struct process *make(lua_State *L)
{
    struct process *p = face_new(L, FACE_META_KEPT, sizeof *p);
    p->child.pidfd = -1;
    p->mark = &process_mark;
    list_init(&p->waiters);
    list_init(&p->link);
    return p;
}

/* Pushes the child of p, which is on top; its connections are where the arguments were. */
static void make_face(lua_State *L, struct process *p, const struct end ends[3])
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    struct child_face *f = face_new(L, FACE_META_PROCESS, sizeof *f);
    lua_createtable(L, 1, 4);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    for (int i = 0; i < 3; i++) {
        if (!ends[i].ours)
            continue;
        lua_pushvalue(L, END_FIRST + i);
        lua_setfield(L, -2, names[i]);
    }
    lua_setfenv(L, -2);
    f->process = p;
    f->mark = &child_mark;
}

/* process_spawn(argv, environment, cwd or nil, stdin, stdout, stderr, group, session) -> what is kept, child, or
 * nil, err, errno */
static int l_spawn(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct task *t = face_running(cx);
    struct end ends[3];
    struct sys_spawn s = {.cwd = lua_tostring(L, 3), .group = lua_toboolean(L, 7), .session = lua_toboolean(L, 8)};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!t)
        return luaL_error(L, "must be called in a task (inside moonpark.run)");
    if (sched_canceled(t))
        return face_error(L, ERR_CANCELED);
    s.argv = strings(L, 1);
    s.envp = strings(L, 2);
    for (int i = 0; i < 3; i++)
        read_end(L, cx, i, &ends[i]);
    struct process *p = make(L);
    make_face(L, p, ends);
    int r = start(cx, p, &s, ends, cx->trace_conns ? site_here(&cx->sites, L, 1) : NULL);
    if (r < 0)
        return face_error(L, r);
    if (!s.session)
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

/* ---- the keeper's ---- */

static void describe(const struct task *t, char *text, size_t n)
{
    snprintf(text, n, "process %d", (int)((struct process *)t->wait.object)->child.pid);
}

static int attempt_end(struct task *t);

static const struct wait_kind kind_end = {
    .name = "end", .attempt = attempt_end, .undo = netpoll_undo, .describe = describe};

/* A readiness that says nothing (one of an earlier wait) is taken, and the task parks again. */
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

/* Its pid is free from here on, and those who wait hear how it ended. */
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

/* process_kill_rest(process): what is left of an ended one's group */
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

/* process_signal_all(name): to all that are kept: the program ends */
static int l_signal_all(lua_State *L)
{
    const struct list *all = &face_ctx(L)->processes;
    int signo = l_signal_number(L, 1);
    for (const struct list *l = all->next; l != all; l = l->next)
        (void)child_kill(&container_of(l, struct process, link)->child, signo);
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

/* Methods, and its streams: what has a name. */
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
    {"process_await", l_await_end},   {"process_detached", l_detached},       {"process_end_detached", l_end_detached},
    {"process_environment", l_environment}, {"process_kill", l_kill_kept},    {"process_kill_now", l_kill_now},
    {"process_kill_rest", l_kill_rest}, {"process_reap", l_reap},             {"process_signal_all", l_signal_all},
    {"process_spawn", l_spawn},       {NULL, NULL},
};

void l_process_open(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    list_init(&cx->processes);
    list_init(&cx->orphans);
    face_class(L, FACE_META_KEPT, "moonpark.kept", kept_methods);
    face_class(L, FACE_META_PROCESS, "moonpark.process", methods);
    lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_META_PROCESS);
    lua_pushcfunction(L, l_index);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    face_functions(L, functions);
}
