/* SPDX-License-Identifier: MIT */
/* l_chan.c - channels. The task that completes an exchange puts the results on the other task's stack. So a
 * woken task already has what it waited for, and a later cancel cannot lose it. */
#include "lua/l_chan.h"

#include "base/errors.h"

#include <stdio.h>

static const char chan_mark = 0;

struct chan *l_chan_test(lua_State *L, int idx)
{
    return face_test(L, idx, &chan_mark, sizeof(struct chan));
}

static struct chan *self(lua_State *L)
{
    return face_self(L, 1, &chan_mark, sizeof(struct chan), "channel");
}

/* ---- exchange ---- */

static struct waiter *first(struct list *queue)
{
    return list_empty(queue) ? NULL : container_of(queue->next, struct waiter, link);
}

/* A waiter's results are put on its own stack, between these two. Cannot raise: a suspended coroutine has room for
 * a few values. */
static void begin_to_tell(struct waiter *w)
{
    if (w->index)
        lua_pushinteger(w->task->L, (lua_Integer)w->index);
}

static void told(struct waiter *w, int n)
{
    w->task->values = n + (w->index != 0);
    sched_wake_waiter(w, 0);
}

/* Moves the n values on top of L to the waiter as its results, and wakes it. */
static void tell(lua_State *L, struct waiter *w, int n)
{
    begin_to_tell(w);
    lua_xmove(L, w->task->L, n);
    told(w, n);
}

static void tell_sent(struct waiter *w)
{
    begin_to_tell(w);
    lua_pushboolean(w->task->L, 1);
    told(w, 1);
}

static void push_offered(lua_State *L, const struct waiter *w)
{
    lua_pushvalue(w->task->L, w->value);
    lua_xmove(w->task->L, L, 1);
}

bool l_chan_can_send(const struct chan *ch)
{
    return ch->closed || ch->count < ch->capacity || !list_empty(&ch->receivers);
}

bool l_chan_can_recv(const struct chan *ch)
{
    return ch->closed || ch->count > 0 || !list_empty(&ch->senders);
}

int l_chan_send_now(lua_State *L, struct chan *ch, int idx, int value)
{
    struct waiter *receiver = first(&ch->receivers);
    if (ch->closed)
        return face_error(L, ERR_CLOSED);
    if (receiver) {
        lua_pushvalue(L, value);
        tell(L, receiver, 1);
    } else {
        lua_getfenv(L, idx);
        lua_pushvalue(L, value);
        lua_rawseti(L, -2, (int)((ch->head + ch->count) % ch->capacity) + 1);
        lua_pop(L, 1);
        ch->count++;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* Takes the oldest buffered value; a sender that waits for room puts its value into the freed place. */
static void take_held(lua_State *L, struct chan *ch, int idx)
{
    struct waiter *sender = first(&ch->senders);
    int place = (int)ch->head + 1;
    lua_getfenv(L, idx);
    lua_rawgeti(L, -1, place);
    if (sender)
        push_offered(L, sender);
    else
        lua_pushnil(L);
    lua_rawseti(L, -3, place);
    lua_remove(L, -2);
    ch->head = (ch->head + 1) % ch->capacity;
    if (sender)
        tell_sent(sender);
    else
        ch->count--;
}

int l_chan_recv_now(lua_State *L, struct chan *ch, int idx)
{
    if (ch->count > 0) {
        take_held(L, ch, idx);
        return 1;
    }
    struct waiter *sender = first(&ch->senders);
    if (!sender)
        return face_error(L, ERR_CLOSED);
    push_offered(L, sender);
    tell_sent(sender);
    return 1;
}

/* ---- waiting ---- */

static void leave(struct task *t) { list_del(&t->wait.self.link); }

static void describe(const struct task *t, char *text, size_t n)
{
    const struct chan *ch = t->wait.object;
    snprintf(text, n, "channel %p (%u of %u)", (const void *)ch, ch->count, ch->capacity);
}

static const struct wait_kind kind_send = {.name = "send", .undo = leave, .describe = describe};
static const struct wait_kind kind_recv = {.name = "recv", .undo = leave, .describe = describe};

static int park(lua_State *L, struct task *t, const struct wait_kind *kind, struct chan *ch,
                struct list *queue, int64_t deadline)
{
    int r = sched_park(t, kind, ch, deadline, 0);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    t->wait.self.index = 0;
    t->wait.self.value = FACE_ARGUMENT + 1;
    list_push(queue, &t->wait.self.link);
    return face_park(L, t);
}

/* send(value[, timeout]) -> true | nil, err */
static int l_send(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct chan *ch = self(L);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be sent");
    int64_t deadline = face_deadline_in(L, 3, cx);
    struct task *t = face_task(L, cx);
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (l_chan_can_send(ch))
        return face_return(L, t, l_chan_send_now(L, ch, 1, 2));
    return park(L, t, &kind_send, ch, &ch->senders, deadline);
}

/* recv([timeout]) -> value | nil, err */
static int l_recv(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    struct chan *ch = self(L);
    int64_t deadline = face_deadline_in(L, 2, cx);
    struct task *t = face_task(L, cx);
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (l_chan_can_recv(ch))
        return face_return(L, t, l_chan_recv_now(L, ch, 1));
    return park(L, t, &kind_recv, ch, &ch->receivers, deadline);
}

static void fail_waiters(lua_State *L, struct list *queue, int words)
{
    for (struct waiter *w; (w = first(queue));) {
        lua_pushnil(L);
        lua_pushvalue(L, words);
        tell(L, w, 2);
    }
}

/* close(): receivers get the buffered values, then "closed"; senders fail at once */
static int l_close(lua_State *L)
{
    struct chan *ch = self(L);
    lua_settop(L, 1);
    lua_pushstring(L, errors_text(ERR_CLOSED));
    ch->closed = true;
    fail_waiters(L, &ch->receivers, 2);
    fail_waiters(L, &ch->senders, 2);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)self(L)->count);
    return 1;
}

static int l_is_closed(lua_State *L)
{
    lua_pushboolean(L, self(L)->closed);
    return 1;
}

/* iter(): for v in ch:iter() until it is closed */
static int l_iter(lua_State *L)
{
    self(L);
    lua_getfield(L, 1, "next");
    lua_pushvalue(L, 1);
    return 2;
}

/* iterating calls recv(ch, control): the control variable is not a timeout */
static int l_next(lua_State *L)
{
    lua_settop(L, 1);
    return l_recv(L);
}

/* chan([capacity]) */
static int l_chan(lua_State *L)
{
    size_t capacity = face_size(L, 1, 0, 0);
    luaL_argcheck(L, capacity <= INT32_MAX, 1, "capacity too large");
    struct chan *ch = face_new(L, FACE_META_CHAN, sizeof *ch);
    list_init(&ch->receivers);
    list_init(&ch->senders);
    ch->capacity = (uint32_t)capacity;
    if (capacity > 0) {
        lua_newtable(L);
        lua_setfenv(L, -2);
    }
    ch->mark = &chan_mark;
    return 1;
}

static const luaL_Reg methods[] = {
    {"__len", l_len}, {"close", l_close}, {"is_closed", l_is_closed}, {"iter", l_iter},
    {"next", l_next}, {"recv", l_recv},   {"send", l_send},           {NULL, NULL},
};

static const luaL_Reg functions[] = {{"chan", l_chan}, {NULL, NULL}};

void l_chan_open(lua_State *L)
{
    face_class(L, FACE_META_CHAN, "moonpark.channel", methods);
    face_functions(L, functions);
}
