/* SPDX-License-Identifier: MIT */
/* l_sync.c - mutex, semaphore, event: a count and a FIFO queue each.
 *
 * A released lock or count is handed to the first waiter directly, so no waiter is overtaken. */
#include "lua/faces.h"

#include "base/errors.h"

#include <stdio.h>

static const char mutex_mark = 0, semaphore_mark = 0, event_mark = 0;

struct sync {
    const void *mark;
    struct list queue;
    uint64_t owner; /* mutex: the task's id, 0: free */
    uint64_t count; /* semaphore: what is left; event: 1 when set */
};

static struct sync *self(lua_State *L, const char *mark, const char *name)
{
    return face_self(L, 1, mark, sizeof(struct sync), name);
}

static struct sync *mutex_self(lua_State *L) { return self(L, &mutex_mark, "mutex"); }
static struct sync *semaphore_self(lua_State *L) { return self(L, &semaphore_mark, "semaphore"); }
static struct sync *event_self(lua_State *L) { return self(L, &event_mark, "event"); }

static void leave(struct task *t) { list_del(&t->wait.self.link); }

static void describe_mutex(const struct task *t, char *text, size_t n)
{
    const struct sync *m = t->wait.object;
    snprintf(text, n, "mutex held by task %llu", (unsigned long long)m->owner);
}

static void describe_semaphore(const struct task *t, char *text, size_t n)
{
    const struct sync *s = t->wait.object;
    snprintf(text, n, "semaphore %p (%llu left)", (const void *)s, (unsigned long long)s->count);
}

static void describe_event(const struct task *t, char *text, size_t n)
{
    snprintf(text, n, "event %p", t->wait.object);
}

static const struct wait_kind kind_lock = {.name = "lock", .undo = leave, .describe = describe_mutex};
static const struct wait_kind kind_acquire = {
    .name = "acquire", .undo = leave, .describe = describe_semaphore};
static const struct wait_kind kind_event = {.name = "wait", .undo = leave, .describe = describe_event};

static struct task *next_waiter(struct sync *s)
{
    if (list_empty(&s->queue))
        return NULL;
    return container_of(s->queue.next, struct waiter, link)->task;
}

/* The waiting half of lock, acquire and wait: [timeout] is argument 2. */
static int park(lua_State *L, struct task *t, const struct wait_kind *kind, struct sync *s)
{
    int64_t deadline = face_deadline_in(L, 2, face_ctx(L));
    int r = sched_park(t, kind, s, deadline, 0);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    list_push(&s->queue, &t->wait.self.link);
    return face_park(L, t);
}

static int done(lua_State *L, struct task *t)
{
    lua_pushboolean(L, 1);
    return face_return(L, t, 1);
}

/* Checks for all three, before anything is taken. */
static struct task *enter(lua_State *L, bool *refused)
{
    struct ctx *cx = face_ctx(L);
    (void)face_timeout(L, 2);
    struct task *t = face_task(L, cx);
    *refused = sched_canceled(t);
    return t;
}

/* ---- mutex ---- */

/* lock([timeout]) -> true | nil, err */
static int l_lock(lua_State *L)
{
    struct sync *m = mutex_self(L);
    bool refused;
    struct task *t = enter(L, &refused);
    if (m->owner == t->id)
        return luaL_error(L, "mutex is already locked by this task");
    if (refused)
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (m->owner)
        return park(L, t, &kind_lock, m);
    m->owner = t->id;
    return done(L, t);
}

/* try_lock() -> boolean */
static int l_try_lock(lua_State *L)
{
    struct sync *m = mutex_self(L);
    struct task *t = face_running(face_ctx(L));
    if (!t)
        return luaL_error(L, "must be called in a task (inside moonpark.run)");
    bool free = m->owner == 0;
    if (free)
        m->owner = t->id;
    lua_pushboolean(L, free);
    return 1;
}

static int l_unlock(lua_State *L)
{
    struct sync *m = mutex_self(L);
    struct task *t = face_running(face_ctx(L)), *next;
    if (!t || m->owner != t->id)
        return luaL_error(L, "mutex is not locked by this task");
    next = next_waiter(m);
    m->owner = next ? next->id : 0;
    if (next)
        sched_wake(next, 0);
    return 0;
}

static int l_is_locked(lua_State *L)
{
    lua_pushboolean(L, mutex_self(L)->owner != 0);
    return 1;
}

/* ---- semaphore ---- */

/* acquire([timeout]) -> true | nil, err */
static int l_acquire(lua_State *L)
{
    struct sync *s = semaphore_self(L);
    bool refused;
    struct task *t = enter(L, &refused);
    if (refused)
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (s->count == 0)
        return park(L, t, &kind_acquire, s);
    s->count--;
    return done(L, t);
}

/* release([n]) */
static int l_release(lua_State *L)
{
    struct sync *s = semaphore_self(L);
    size_t n = face_size(L, 2, 1, 1);
    for (struct task *t; n > 0 && (t = next_waiter(s)); n--)
        sched_wake(t, 0);
    s->count += n;
    return 0;
}

static int l_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)semaphore_self(L)->count);
    return 1;
}

/* ---- event ---- */

static int l_set(lua_State *L)
{
    struct sync *e = event_self(L);
    e->count = 1;
    for (struct task *t; (t = next_waiter(e));)
        sched_wake(t, 0);
    return 0;
}

static int l_clear(lua_State *L)
{
    event_self(L)->count = 0;
    return 0;
}

static int l_is_set(lua_State *L)
{
    lua_pushboolean(L, event_self(L)->count != 0);
    return 1;
}

/* wait([timeout]) -> true | nil, err */
static int l_wait(lua_State *L)
{
    struct sync *e = event_self(L);
    bool refused;
    struct task *t = enter(L, &refused);
    if (refused)
        return face_return(L, t, face_error(L, ERR_CANCELED));
    return e->count ? done(L, t) : park(L, t, &kind_event, e);
}

/* ---- making them ---- */

static struct sync *make(lua_State *L, int meta, const char *mark)
{
    struct sync *s = face_new(L, meta, sizeof *s);
    list_init(&s->queue);
    s->mark = mark;
    return s;
}

static int l_mutex(lua_State *L)
{
    make(L, FACE_META_MUTEX, &mutex_mark);
    return 1;
}

/* semaphore(n) */
static int l_semaphore(lua_State *L)
{
    (void)face_number(L, 1);
    size_t n = face_size(L, 1, 0, 0);
    make(L, FACE_META_SEMAPHORE, &semaphore_mark)->count = n;
    return 1;
}

static int l_event(lua_State *L)
{
    make(L, FACE_META_EVENT, &event_mark);
    return 1;
}

static const luaL_Reg mutex_methods[] = {
    {"is_locked", l_is_locked}, {"lock", l_lock}, {"try_lock", l_try_lock}, {"unlock", l_unlock}, {NULL, NULL},
};

static const luaL_Reg semaphore_methods[] = {
    {"acquire", l_acquire}, {"count", l_count}, {"release", l_release}, {NULL, NULL},
};

static const luaL_Reg event_methods[] = {
    {"clear", l_clear}, {"is_set", l_is_set}, {"set", l_set}, {"wait", l_wait}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"event", l_event}, {"mutex", l_mutex}, {"semaphore", l_semaphore}, {NULL, NULL},
};

void l_sync_open(lua_State *L)
{
    face_class(L, FACE_META_MUTEX, "moonpark.mutex", mutex_methods);
    face_class(L, FACE_META_SEMAPHORE, "moonpark.semaphore", semaphore_methods);
    face_class(L, FACE_META_EVENT, "moonpark.event", event_methods);
    face_functions(L, functions);
}
