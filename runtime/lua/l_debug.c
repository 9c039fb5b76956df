/* SPDX-License-Identifier: MIT */
/* l_debug.c - data for reports: tasks, connections, counts; and the switches of the hard build.
 *
 * Returns plain tables; the Lua side turns them into text. */
#include "lua/faces.h"

#include "base/hard.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "lua/l_shared.h"
#include "lua/l_task.h"

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_site(lua_State *L, const struct site *s)
{
    site_push(L, s);
    lua_setfield(L, -2, "site");
}

static void set_thread(lua_State *L, const char *name, lua_State *thread)
{
    lua_pushthread(thread);
    if (thread != L)
        lua_xmove(thread, L, 1);
    lua_setfield(L, -2, name);
}

/* The earlier of the wait's own deadline and its object's; 0: neither. */
static int64_t deadline_of(const struct task *t)
{
    int64_t own = t->wait.timer.slot ? t->wait.timer.when : 0, object = 0;
    if (t->state == TASK_PARKED && t->wait.kind->deadline)
        object = t->wait.kind->deadline(t);
    return own && object ? (own < object ? own : object) : own + object;
}

static void push_task(lua_State *L, const struct task *t)
{
    static const char *const states[] = {"ready", "running", "parked", "done"};
    char text[512] = "";
    lua_createtable(L, 0, 12);
    l_task_push(L, t);
    lua_setfield(L, -2, "task");
    set_number(L, "id", (lua_Number)t->id);
    set_number(L, "creator", (lua_Number)t->creator);
    set_string(L, "state", states[t->state]);
    lua_pushboolean(L, t->canceled);
    lua_setfield(L, -2, "canceled");
    set_site(L, t->site);
    set_thread(L, "thread", t->L);
    if (t->state == TASK_RUNNING)
        return;
    set_string(L, "wait", t->wait.kind->name);
    set_number(L, "since", (lua_Number)t->wait.since / 1e9);
    if (deadline_of(t))
        set_number(L, "deadline", (lua_Number)deadline_of(t) / 1e9);
    if (t->state == TASK_PARKED && t->wait.kind->describe) {
        t->wait.kind->describe(t, text, sizeof text);
        set_string(L, "object", text);
    }
    lua_pushboolean(L, t->state == TASK_PARKED && t->wait.outside);
    lua_setfield(L, -2, "outside");
    lua_pushboolean(L, t->attendant);
    lua_setfield(L, -2, "attendant");
    if (t->parked && t->parked != t->L)
        set_thread(L, "parked", t->parked);
}

/* tasks() -> an array of tables, one for each task that has not ended */
static int l_tasks(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    int n = 0;
    lua_newtable(L);
    for (uint32_t slot = 1; slot <= cx->slots; slot++) {
        lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), face_task_key(slot));
        struct task *t = l_task_test(L, -1);
        lua_pop(L, 1);
        if (!t)
            continue;
        push_task(L, t);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* What is reported about a connection. Copied before any table is built: building runs finalizers, which
 * remove connections from the list. */
struct conn_row {
    char text[3 * ADDR_TEXT_MAX];
    int fd;
    uint64_t id, creator;
    int64_t deadlines[2];
    const struct site *site;
};

static void copy_row(struct conn_row *row, const struct conn *c)
{
    conn_describe(c, row->text, sizeof row->text);
    row->fd = c->stream.fd;
    row->id = c->id;
    row->creator = c->creator;
    row->site = c->site;
    for (int side = POLL_R; side <= POLL_W; side++)
        row->deadlines[side] = c->stream.pd ? c->stream.pd->side[side].deadline : 0;
}

static void set_deadline(lua_State *L, const char *name, int64_t deadline)
{
    if (deadline > 0)
        set_number(L, name, (lua_Number)deadline / 1e9);
}

static void push_row(lua_State *L, const struct conn_row *row)
{
    lua_createtable(L, 0, 7);
    set_string(L, "text", row->text);
    set_number(L, "fd", row->fd);
    set_number(L, "id", (lua_Number)row->id);
    set_number(L, "creator", (lua_Number)row->creator);
    set_deadline(L, "read_deadline", row->deadlines[POLL_R]);
    set_deadline(L, "write_deadline", row->deadlines[POLL_W]);
    set_site(L, row->site);
}

/* conns() -> an array of {text, fd, id, creator, read_deadline, write_deadline, site} of open
 * connections and listeners */
static int l_conns(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    const struct list *conns = &cx->loop.conns;
    size_t n = 0, count = cx->opened ? list_length(conns) : 0;
    struct conn_row *rows = lua_newuserdata(L, count * sizeof *rows);
    for (struct list *l = conns->next; n < count && l != conns; l = l->next)
        copy_row(&rows[n++], container_of(l, struct conn, link));
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_row(L, &rows[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static struct conn *conn_of_id(struct ctx *cx, lua_Number id)
{
    for (struct list *l = cx->loop.conns.next; l != &cx->loop.conns; l = l->next) {
        struct conn *c = container_of(l, struct conn, link);
        if ((lua_Number)c->id == id)
            return c;
    }
    return NULL;
}

/* close_conn(id): closes that one, for tests that left it open */
static int l_close_conn(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = face_number(L, 1);
    struct conn *c = cx->opened ? conn_of_id(cx, id) : NULL;
    if (c)
        conn_close(c);
    return 0;
}

/* close_conns(): closes every open connection */
static int l_close_conns(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    while (cx->opened && !list_empty(&cx->loop.conns))
        conn_close(container_of(cx->loop.conns.next, struct conn, link));
    return 0;
}

/* stats() -> {tasks, outside, waiters, polls, timers, blocks, jobs, queued} */
static int l_stats(lua_State *L)
{
    const struct loop *l = &face_ctx(L)->loop;
    lua_createtable(L, 0, 10);
    set_number(L, "tasks", l->sched.alive);
    set_number(L, "outside", l->sched.outside);
    set_number(L, "waiters", l->netpoll.waiters);
    set_number(L, "polls", l->netpoll.opened);
    set_number(L, "timers", timers_armed(&l->timers));
    set_number(L, "timer_entries", l->timers.count);
    set_number(L, "blocks", (lua_Number)sys_allocated());
    set_number(L, "jobs", pool_jobs(l->pool));
    set_number(L, "queued", pool_queued(l->pool));
    set_number(L, "sites", face_ctx(L)->sites.count);
    return 1;
}

/* check(): checks every invariant of the loop's parts and of shared memory; a violation ends the process */
static int l_check(lua_State *L)
{
    const struct ctx *cx = face_ctx(L);
    l_shared_check(cx);
    l_shared_counter_check(cx);
    if (!cx->opened)
        return 0;
    timers_check(&cx->loop.timers);
    sched_check(&cx->loop.sched);
    netpoll_check(&cx->loop.netpoll);
    pool_check(cx->loop.pool);
    resolver_check(&cx->resolver);
    for (struct list *l = cx->loop.conns.next; l != &cx->loop.conns; l = l->next) {
        const struct conn *c = container_of(l, struct conn, link);
        conn_check(c);
        if (c->owner)
            c->owner->check(c);
    }
    return 0;
}

/* trace_conns(on): remember where connections are made */
static int l_trace_conns(lua_State *L)
{
    face_ctx(L)->trace_conns = lua_toboolean(L, 1);
    return 0;
}

/* trace_sites(library, deep): the path prefix of moonpark's own files; whether to keep whole call paths */
static int l_trace_sites(lua_State *L)
{
    struct sites *sites = &face_ctx(L)->sites;
    const char *library = luaL_optstring(L, 1, NULL);
    sites->deep = lua_toboolean(L, 2);
    return face_result(L, library ? sites_set_library(sites, library) : 0);
}

/* is_own(path) -> is that file moonpark's own? */
static int l_is_own(lua_State *L)
{
    lua_pushboolean(L, site_is_own(&face_ctx(L)->sites, luaL_checkstring(L, 1)));
    return 1;
}

/* ---- the hard build ---- */

static void *counting_alloc(void *below, void *p, size_t before, size_t after)
{
    struct ctx *cx = below;
    bool spared = before > 0 && hard_by_chance(); /* LuaJIT does not survive a stack that cannot grow inside Lua code */
    if (after > before && !spared && !hard_alloc())
        return NULL;
    return cx->alloc(cx->alloc_data, p, before, after);
}

static int l_fail_syscall(lua_State *L)
{
    hard_fail_syscall(face_size(L, 1, 0, 0));
    return 0;
}

static int l_fail_alloc(lua_State *L)
{
    hard_fail_alloc(face_size(L, 1, 0, 0));
    return 0;
}

/* fail_times(n): n calls in a row fail, beginning with the chosen one; default 1 */
static int l_fail_times(lua_State *L)
{
    hard_fail_times(face_size(L, 1, 1, 1));
    return 0;
}

/* fail_by_chance(seed, one_call_in, one_alloc_in): 0: none */
static int l_fail_by_chance(lua_State *L)
{
    hard_fail_by_chance(face_size(L, 1, 0, 0), face_size(L, 2, 0, 0), face_size(L, 3, 0, 0));
    return 0;
}

/* fail_with(errno): replaces each call's own error; 0: its own */
static int l_fail_with(lua_State *L)
{
    hard_fail_with((int)face_size(L, 1, 0, 0));
    return 0;
}

/* raise_sigpipe(on): each sendfile raises SIGPIPE, whatever it moved */
static int l_raise_sigpipe(lua_State *L)
{
    hard_raise_sigpipe(lua_toboolean(L, 1));
    return 0;
}

static int l_counts(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)hard_syscalls());
    lua_pushnumber(L, (lua_Number)hard_allocs());
    return 2;
}

static const luaL_Reg hard_functions[] = {
    {"counts", l_counts},
    {"fail_alloc", l_fail_alloc},
    {"fail_by_chance", l_fail_by_chance},
    {"fail_syscall", l_fail_syscall},
    {"fail_times", l_fail_times},
    {"fail_with", l_fail_with},
    {"raise_sigpipe", l_raise_sigpipe},
    {NULL, NULL},
};

static void open_hard(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    if (!limits.hard)
        return;
    cx->alloc = lua_getallocf(L, &cx->alloc_data);
    lua_setallocf(L, counting_alloc, cx);
    lua_newtable(L);
    face_functions(L, hard_functions);
    lua_setfield(L, -2, "hard");
}

static const luaL_Reg functions[] = {
    {"check", l_check}, {"close_conn", l_close_conn}, {"close_conns", l_close_conns}, {"conns", l_conns},
    {"is_own", l_is_own}, {"stats", l_stats}, {"tasks", l_tasks},           {"trace_conns", l_trace_conns},
    {"trace_sites", l_trace_sites}, {NULL, NULL},
};

void l_debug_open(lua_State *L)
{
    face_functions(L, functions);
    open_hard(L);
}
