/* SPDX-License-Identifier: MIT */
/* l_netpoll.c - the Lua face of netpoll: tasks can wait for any pollable descriptor on the same loop, such as those of
 * libpq, inotify or LuaSocket.
 *
 * The descriptor still belongs to the caller: it is neither made non-blocking nor closed. */
#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

static const char poll_mark = 0;

struct poll_face {
    const void *mark;
    struct pollDesc *pd; /* NULL once closed */
    struct list link;    /* among the context's open ones */
    const struct site *site;
    uint64_t id, creator; /* as struct conn's */
};

static struct poll_face *self(lua_State *L)
{
    return face_self(L, 1, &poll_mark, sizeof(struct poll_face), "pollDesc");
}

static int check_side(lua_State *L, int idx)
{
    static const char *const names[] = {"r", "w", NULL};
    return luaL_checkoption(L, idx, NULL, names);
}

static int check_mode(lua_State *L, int idx)
{
    static const char *const names[] = {"r", "w", "rw", NULL};
    static const int modes[] = {MODE_R, MODE_W, MODE_R | MODE_W};
    return modes[luaL_checkoption(L, idx, NULL, names)];
}

static int result(lua_State *L, int r)
{
    if (r == -EBUSY)
        return luaL_error(L, "double wait: another task is already waiting");
    return face_result(L, r);
}

/* ---- waiting ---- */

static void describe(const struct task *t, char *text, size_t n)
{
    const struct poll_face *f = t->wait.object;
    snprintf(text, n, "descriptor %d (%s)", f->pd ? f->pd->fd : -1,
             t->wait.self.index == POLL_R ? "r" : "w");
}

static int64_t deadline(const struct task *t)
{
    const struct poll_face *f = t->wait.object;
    return netpoll_deadline(f->pd, (int)t->wait.self.index);
}

static int attempt_canceled(struct task *t);

static const struct wait_kind kind_wait = {.name = "poll", .attempt = netpoll_waited,
    .undo = netpoll_undo, .deadline = deadline, .describe = describe};
static const struct wait_kind kind_wait_canceled = {
    .name = "poll", .attempt = attempt_canceled, .undo = netpoll_undo, .describe = describe};

static int attempt_canceled(struct task *t)
{
    struct poll_face *f = t->wait.object;
    if (t->wait.result <= 0)
        return t->wait.result;
    if (!f->pd)
        return ERR_CLOSED;
    return netpoll_wait_canceled(f->pd, (int)t->wait.self.index, t, &kind_wait_canceled, f);
}

static int finish(lua_State *L, struct task *t, int r)
{
    return r == SCHED_PARKED ? face_park(L, t) : face_return(L, t, result(L, r));
}

/* wait(mode) -> true | nil, "closed" | "timeout" | "canceled" */
static int l_wait(lua_State *L)
{
    struct poll_face *f = self(L);
    int side = check_side(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    int r = sched_canceled(t) ? ERR_CANCELED : ERR_CLOSED;
    if (f->pd && r == ERR_CLOSED)
        r = netpoll_wait(f->pd, side, t, &kind_wait, f, 0);
    return finish(L, t, r);
}

/* wait_level(mode) -> as wait; at once if the descriptor is ready now, whatever has been reported before */
static int l_wait_level(lua_State *L)
{
    struct poll_face *f = self(L);
    int side = check_side(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    int r = sched_canceled(t) ? ERR_CANCELED : f->pd ? netpoll_reset(f->pd, side) : ERR_CLOSED;
    if (r < 0)
        return finish(L, t, r);
    struct pollfd look = {.fd = f->pd->fd, .events = side == POLL_R ? POLLIN | POLLPRI : POLLOUT};
    do
        r = sys_poll(&look, 1, 0);
    while (r == -EINTR);
    if (r > 0)
        return finish(L, t, look.revents & POLLNVAL ? -EBADF : 0);
    return finish(L, t, r < 0 ? r : netpoll_wait(f->pd, side, t, &kind_wait, f, 0));
}

/* wait_canceled(mode) -> true | nil, "canceled": only readiness ends it */
static int l_wait_canceled(lua_State *L)
{
    struct poll_face *f = self(L);
    int side = check_side(L, 2);
    struct task *t = face_task(L, face_ctx(L));
    int r = ERR_CLOSED;
    if (f->pd)
        r = netpoll_wait_canceled(f->pd, side, t, &kind_wait_canceled, f);
    return finish(L, t, r);
}

/* ---- the others ---- */

static int l_reset(lua_State *L)
{
    struct poll_face *f = self(L);
    int side = check_side(L, 2);
    return face_result(L, f->pd ? netpoll_reset(f->pd, side) : ERR_CLOSED);
}

/* set_deadline(t, mode) */
static int l_set_deadline(lua_State *L)
{
    struct poll_face *f = self(L);
    int64_t when = face_deadline_at(L, 2, face_ctx(L));
    int mode = check_mode(L, 3);
    if (!f->pd || f->pd->closing)
        return face_error(L, ERR_CLOSED);
    return face_result(L, netpoll_set_deadline(f->pd, when, mode));
}

static int l_unblock(lua_State *L)
{
    struct poll_face *f = self(L);
    if (f->pd)
        netpoll_unblock(f->pd);
    return 0;
}

static void give_back(struct poll_face *f)
{
    list_del(&f->link);
    netpoll_close(f->pd);
    f->pd = NULL;
}

static bool parked(const struct pollDesc *pd, int side)
{
    return pd->side[side].g && !netpoll_is_ready(pd, side);
}

/* close(): frees the pollDesc; raises unless it was unblocked before and no task is parked on it */
static int l_close(lua_State *L)
{
    struct poll_face *f = self(L);
    if (!f->pd)
        return luaL_error(L, "pollDesc is already closed");
    if (parked(f->pd, POLL_R) || parked(f->pd, POLL_W))
        return luaL_error(L, "pollDesc has a task parked on it: unblock it first");
    if (!f->pd->closing)
        return luaL_error(L, "pollDesc must be unblocked before it is closed");
    give_back(f);
    return 0;
}

static int l_gc(lua_State *L)
{
    struct poll_face *f = face_test(L, 1, &poll_mark, sizeof *f);
    if (f && f->pd) {
        netpoll_unblock(f->pd);
        give_back(f);
    }
    return 0;
}

/* info() -> {fd, slot, generation, closing, ready = {r, w}}: for people and specs */
static int l_info(lua_State *L)
{
    struct poll_face *f = self(L);
    if (!f->pd)
        return face_error(L, ERR_CLOSED);
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, f->pd->fd);
    lua_setfield(L, -2, "fd");
    lua_pushnumber(L, f->pd->slot);
    lua_setfield(L, -2, "slot");
    lua_pushnumber(L, f->pd->fdseq);
    lua_setfield(L, -2, "generation");
    lua_pushboolean(L, f->pd->closing);
    lua_setfield(L, -2, "closing");
    lua_pushboolean(L, netpoll_is_ready(f->pd, POLL_R));
    lua_setfield(L, -2, "read_ready");
    lua_pushboolean(L, netpoll_is_ready(f->pd, POLL_W));
    lua_setfield(L, -2, "write_ready");
    return 1;
}

/* netpoll_open(fd) -> pollDesc | nil, err, errno */
static int l_open(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    (void)face_number(L, 1);
    int fd = (int)base_min(face_size(L, 1, 0, 0), INT_MAX); /* never a valid descriptor */
    struct poll_face *f = face_new(L, FACE_META_POLL, sizeof *f);
    f->mark = &poll_mark;
    int r = netpoll_open(&cx->loop.netpoll, fd, &f->pd);
    if (r < 0)
        return face_error(L, r);
    list_push(&cx->polls, &f->link);
    if (cx->trace_conns) {
        f->site = face_site(cx, L);
        f->id = ++cx->last_id;
        f->creator = face_running_id(cx);
    }
    return 1;
}

struct poll_row {
    int fd;
    uint64_t id, creator;
    const struct site *site;
};

/* polls() -> an array of {fd, id, creator, site} of the open pollDescs that scripts have made. Copied
 * first: building tables runs finalizers, which remove pollDescs from the list. */
static int l_polls(lua_State *L)
{
    const struct list *polls = &face_ctx(L)->polls;
    size_t n = 0, count = list_length(polls);
    struct poll_row *rows = lua_newuserdata(L, count * sizeof *rows);
    for (struct list *l = polls->next; n < count && l != polls; l = l->next) {
        const struct poll_face *f = container_of(l, struct poll_face, link);
        rows[n++] = (struct poll_row){f->pd->fd, f->id, f->creator, f->site};
    }
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        site_push_made(L, NULL, rows[i].fd, rows[i].id, rows[i].creator, rows[i].site);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* close_poll(id): unblocks and closes that one */
static int l_close_poll(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = face_number(L, 1);
    for (struct list *l = cx->polls.next; l != &cx->polls; l = l->next) {
        struct poll_face *f = container_of(l, struct poll_face, link);
        if ((lua_Number)f->id != id)
            continue;
        netpoll_unblock(f->pd);
        give_back(f);
        break;
    }
    return 0;
}

/* netpoll_descriptor() -> the poller's own descriptor, or nil */
static int l_descriptor(lua_State *L)
{
    struct poller *p = face_loop(L)->loop.poller;
    int fd = p->ops->descriptor(p);
    if (fd < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, fd);
    return 1;
}

/* netpoll_name() -> "epoll" | "poll" */
static int l_name(lua_State *L)
{
    lua_pushstring(L, face_loop(L)->loop.poller->ops->name);
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc},       {"close", l_close}, {"info", l_info},
    {"reset", l_reset},   {"set_deadline", l_set_deadline},
    {"unblock", l_unblock}, {"wait", l_wait}, {"wait_canceled", l_wait_canceled},
    {"wait_level", l_wait_level},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"close_poll", l_close_poll}, {"netpoll_descriptor", l_descriptor}, {"netpoll_name", l_name},
    {"netpoll_open", l_open},     {"polls", l_polls},                   {NULL, NULL},
};

void l_netpoll_open(lua_State *L)
{
    list_init(&face_ctx(L)->polls);
    face_class(L, FACE_META_POLL, "moonpark.pollDesc", methods);
    face_functions(L, functions);
}
