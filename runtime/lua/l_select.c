/* SPDX-License-Identifier: MIT */
/* l_select.c - select: waits for the first of several channels and connections.
 *
 * The cases are copied into one userdata, with a waiter each, so that later changes of the script's table do
 * not matter. One of the ready cases is picked at random, as in Go. A channel's partner completes the exchange
 * and hands over the results; a descriptor only wakes the task to check. */
#include "lua/faces.h"

#include "base/errors.h"
#include "lua/l_chan.h"
#include "lua/l_conn.h"
#include "lua/l_task.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

enum case_type { CASE_RECV, CASE_SEND, CASE_CONN, CASE_TASK };
enum { CASES_MAX = 128 };

/* The arguments, from op.base on: the cases as given, the selection, then each case's object and
 * value. So the stack keeps alive everything that a select uses. */
enum { ARG_SELECTION = 1, ARG_OBJECT = 2, ARG_VALUE = 3, ARGS_A_CASE = 2 };

struct select_case {
    struct waiter waiter;
    uint8_t type, side;
    bool crosses; /* as it was last looked at, the other side's readiness is what it waits for */
    void *object;
};

struct selection {
    struct ctx *cx;
    uint32_t count;
    bool moves; /* to look at a case may move bytes: a stream over another is among them */
    struct select_case cases[];
};

/* ---- reading the cases ---- */

/* Raises at the line of our caller's caller: the caller is task.lua. */
static void misused(lua_State *L, const char *what)
{
    luaL_where(L, 2);
    lua_pushstring(L, what);
    lua_concat(L, 2);
    lua_error(L);
}

static uint8_t side_of(lua_State *L, int idx)
{
    const char *mode = lua_isstring(L, idx) ? lua_tostring(L, idx) : "";
    if (mode[0] == 'r' && !mode[1])
        return POLL_R;
    if (mode[0] != 'w' || mode[1])
        misused(L, "select: \"r\" or \"w\" expected with a connection");
    return POLL_W;
}

/* From the table on top of the stack; its object and value go to `place` and the next index. */
static void read_case(lua_State *L, struct select_case *sc, int place)
{
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    struct chan *ch = l_chan_test(L, -2);
    struct conn *c = ch ? NULL : l_conn_test(L, -2);
    struct task_face *f = ch || c ? NULL : l_task_face(L, -2);
    if (!ch && !c && !f)
        misused(L, "select: a case must be {channel}, {channel, value}, {task} or {connection, \"r\" or \"w\"}");
    sc->object = ch ? (void *)ch : c ? (void *)c : (void *)f;
    sc->type = f ? CASE_TASK : c ? CASE_CONN : lua_isnil(L, -1) ? CASE_RECV : CASE_SEND;
    if (c)
        sc->side = side_of(L, -1);
    if (f && !lua_isnil(L, -1))
        misused(L, "select: a task is a case of its own, {task}: nothing is sent to it");
    if (f && f->task && f->task == face_running(face_ctx(L)))
        misused(L, "select: a task cannot join itself");
    lua_replace(L, place + 1);
    lua_replace(L, place);
}

static struct selection *read_cases(lua_State *L, struct ctx *cx)
{
    size_t n = lua_objlen(L, 1);
    lua_getfield(L, 1, "timeout");
    if (n == 0 && lua_isnil(L, -1))
        misused(L, "select: no cases and no timeout: it would wait for ever");
    if (n > CASES_MAX)
        misused(L, "select: too many cases");
    luaL_checkstack(L, ARGS_A_CASE * (int)n + LUA_MINSTACK, "too many cases");
    lua_settop(L, 1);
    struct selection *s = lua_newuserdata(L, sizeof *s + n * sizeof s->cases[0]);
    lua_settop(L, 1 + ARG_SELECTION + ARGS_A_CASE * (int)n);
    s->cx = cx;
    s->count = (uint32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        struct select_case *sc = &s->cases[i];
        *sc = (struct select_case){.waiter.index = i + 1};
        sc->waiter.value = FACE_ARGUMENT + ARG_VALUE + ARGS_A_CASE * (int)i;
        list_init(&sc->waiter.link);
        lua_rawgeti(L, 1, (int)i + 1);
        if (!lua_istable(L, -1))
            misused(L, "select: a case must be a table");
        read_case(L, sc, 1 + ARG_OBJECT + ARGS_A_CASE * (int)i);
        lua_pop(L, 1);
    }
    return s;
}

/* ---- looking ---- */

static bool case_ready(struct select_case *sc)
{
    if (sc->type == CASE_TASK)
        return !((const struct task_face *)sc->object)->task;
    if (sc->type != CASE_CONN)
        return (sc->type == CASE_SEND ? l_chan_can_send : l_chan_can_recv)(sc->object);
    const struct conn *c = sc->object;
    int r = conn_ready(sc->object, sc->side);
    sc->crosses = r == 0 && c->stream.again != sc->side;
    return r != 0;
}

static uint32_t next_random(struct ctx *cx)
{
    uint32_t x = cx->random ? cx->random : 2463534242u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return cx->random = x;
}

/* The number of a ready case (1 ...), or 0. */
static int find_ready(struct selection *s)
{
    uint32_t from = s->count ? next_random(s->cx) % s->count : 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t at = (from + i) % s->count;
        if (case_ready(&s->cases[at]))
            return (int)at + 1;
    }
    return 0;
}

static void fetch(lua_State *L, const struct operation *op, int argument)
{
    lua_pushvalue(op->stack, op->base + argument);
    if (op->stack != L)
        lua_xmove(op->stack, L, 1);
}

/* The number and how the task ended; or the number, the token and the task: its results are to be fetched. */
static int complete_join(lua_State *L, struct task *t, const struct task_face *f, int number)
{
    lua_pushinteger(L, number);
    fetch(L, &t->op, ARG_OBJECT + ARGS_A_CASE * (number - 1));
    int n = l_task_push_ended(L, f);
    if (lua_touserdata(L, -1) == (const void *)&face_token) {
        lua_insert(L, -2);
        return 3;
    }
    lua_remove(L, -n - 1);
    return 1 + n;
}

/* Ends the ready case of that number: pushes the number and the case's results. */
static int complete(lua_State *L, struct task *t, struct selection *s, int number)
{
    struct select_case *sc = &s->cases[number - 1];
    int top = lua_gettop(L), results;
    if (sc->type == CASE_CONN) {
        lua_pushinteger(L, number);
        int r = conn_ready(sc->object, sc->side);
        return 1 + face_result(L, r < 0 ? r : 0);
    }
    if (sc->type == CASE_TASK)
        return complete_join(L, t, sc->object, number);
    fetch(L, &t->op, ARG_OBJECT + ARGS_A_CASE * (number - 1));
    fetch(L, &t->op, ARG_VALUE + ARGS_A_CASE * (number - 1));
    if (sc->type == CASE_SEND)
        results = l_chan_send_now(L, sc->object, top + 1, top + 2);
    else
        results = l_chan_recv_now(L, sc->object, top + 1);
    lua_pushinteger(L, number);
    lua_replace(L, top + 2);
    lua_remove(L, top + 1);
    return 1 + results;
}

/* ---- waiting ---- */

static void delist(struct selection *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct select_case *sc = &s->cases[i];
        struct conn *c = sc->object;
        if (sc->type != CASE_CONN) {
            list_del(&sc->waiter.link);
            continue;
        }
        c->drained = false; /* the readiness since may have been reported to us: try again */
        if (c->stream.pd)
            netpoll_unwatch(c->stream.pd, sc->side, &sc->waiter);
    }
}

/* Forgets old readiness: what comes later is reported later. 0, or why a case cannot be waited for. */
static int forget(struct selection *s)
{
    int r = 0;
    s->moves = false;
    for (uint32_t i = 0; i < s->count && r == 0; i++) {
        struct select_case *sc = &s->cases[i];
        struct conn *c = sc->object;
        struct pollDesc *pd;
        if (sc->type != CASE_CONN)
            continue;
        r = conn_poll(c, &pd);
        r = r < 0 ? r : netpoll_reset(pd, sc->side);
        s->moves |= r == 0 && c->stream.ops->covers;
    }
    return r;
}

/* Sets *outside if the kernel or a deadline can end it. 1: readiness was reported since it was forgotten. */
static int enlist_conn(struct select_case *sc, bool *outside)
{
    struct pollDesc *pd = ((struct conn *)sc->object)->stream.pd;
    int r = netpoll_watch(pd, sc->side, &sc->waiter);
    if (r == 0 && sc->crosses)
        netpoll_cross(pd, sc->side);
    if (r == -EBUSY && pd->side[sc->side].g->task == sc->waiter.task)
        r = 0; /* an earlier case of ours is there; after a wake all are checked */
    *outside |= r == 0 && netpoll_outside(pd, sc->side);
    return r;
}

static int enlist(struct selection *s, struct task *t, bool *outside)
{
    int r = 0;
    for (uint32_t i = 0; i < s->count && r == 0; i++) {
        struct select_case *sc = &s->cases[i];
        sc->waiter.task = t;
        if (sc->type == CASE_CONN)
            r = enlist_conn(sc, outside);
        else if (sc->type == CASE_TASK)
            list_push(&((struct task_face *)sc->object)->task->joiners, &sc->waiter.link);
        else if (sc->type == CASE_SEND)
            list_push(&((struct chan *)sc->object)->senders, &sc->waiter.link);
        else
            list_push(&((struct chan *)sc->object)->receivers, &sc->waiter.link);
    }
    return r;
}

static const struct wait_kind kind_select;

/* The cases were looked at just now. A look may move bytes, and so make a case ready that was looked at before it: then
 * all are looked at again after old readiness was forgotten, and nobody is enlisted, who could be woken, meanwhile. */
static int look_again(struct selection *s) { return s->moves ? find_ready(s) : 0; }

/* SCHED_PARKED; 0: the case *number is ready after all; or why not. */
static int park(struct selection *s, struct task *t, int *number)
{
    bool outside;
    int r;
    do {
        outside = false;
        r = forget(s);
        *number = r == 0 ? look_again(s) : 0;
        if (r < 0 || *number)
            return r;
        r = enlist(s, t, &outside);
        if (r == 0)
            r = sched_park(t, &kind_select, s, t->op.deadline, outside ? WAIT_OUTSIDE : 0);
        if (r != 0)
            delist(s);
    } while (r > 0);
    return r < 0 ? r : SCHED_PARKED;
}

/* Woken by a descriptor: a channel's partner would have handed over the results. */
static int attempt(struct task *t)
{
    struct selection *s = t->wait.object;
    if (t->wait.result < 0)
        return t->wait.result;
    int number = find_ready(s);
    int r = number ? 0 : park(s, t, &number);
    if (r == 0)
        *OPERATION(t, int) = number;
    return r;
}

static int push(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    return complete(L, t, t->wait.object, *OPERATION(t, int));
}

static void undo(struct task *t) { delist(t->wait.object); }

static void describe(const struct task *t, char *text, size_t n)
{
    uint32_t count = ((const struct selection *)t->wait.object)->count;
    snprintf(text, n, "%u case%s", count, count == 1 ? "" : "s");
}

static const struct wait_kind kind_select = {
    .name = "select", .attempt = attempt, .push = push, .undo = undo, .describe = describe};

/* A misspelled one would be no timeout at all: keys that are no cases are told of. */
static void check_keys(lua_State *L)
{
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            continue;
        misused(L, lua_pushfstring(L, "select: unknown option '%s'; there is 'timeout'", lua_tostring(L, -2)));
    }
}

static int64_t read_timeout(lua_State *L, struct ctx *cx)
{
    lua_getfield(L, 1, "timeout");
    if (lua_isnil(L, -1))
        check_keys(L);
    else if (lua_type(L, -1) != LUA_TNUMBER || isnan(lua_tonumber(L, -1)))
        misused(L, lua_pushfstring(L, "select: option 'timeout': number of seconds expected, got %s",
                                   lua_type(L, -1) == LUA_TNUMBER ? "NaN" : luaL_typename(L, -1)));
    return face_deadline_in(L, -1, cx);
}

/* select(cases) -> number, results of that case | nil, err */
static int l_select(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    if (!lua_istable(L, 1))
        misused(L, "bad argument #1 to 'select' (table expected)");
    int64_t deadline = read_timeout(L, cx);
    struct selection *s = read_cases(L, cx);
    struct task *t = face_task(L, cx);
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    t->op.stack = L;
    t->op.base = 1;
    t->op.deadline = deadline;
    int number = find_ready(s);
    int r = number ? 0 : park(s, t, &number);
    if (r == SCHED_PARKED)
        return face_park(L, t);
    return face_return(L, t, r < 0 ? face_error(L, r) : complete(L, t, s, number));
}

static const luaL_Reg functions[] = {{"select", l_select}, {NULL, NULL}};

void l_select_open(lua_State *L) { face_functions(L, functions); }
