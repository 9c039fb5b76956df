/* SPDX-License-Identifier: MIT */
/* l_signal.c - a subscription holds the signals that arrived and were not taken, each once, in their order. One that
 * arrives while a task waits becomes the result of the task's wake; no Lua runs in between, so nothing can raise. */
#include "lua/l_signal.h"

#include "base/errors.h"
#include "loop/signals.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char fault[] = "it reports a fault, which would repeat as soon as a handler returned";
static const char never[] = "the system does not allow it";

static const struct signal_row {
    const char *name;
    int number;
    const char *kept; /* why it cannot be subscribed to */
} rows[] = {
    {"ABRT", SIGABRT, "it ends the process when an assertion fails"},
    {"ALRM", SIGALRM, NULL},
    {"BUS", SIGBUS, fault},
    {"CHLD", SIGCHLD, NULL},
    {"CONT", SIGCONT, NULL},
    {"FPE", SIGFPE, fault},
    {"HUP", SIGHUP, NULL},
    {"ILL", SIGILL, fault},
    {"INT", SIGINT, NULL},
    {"KILL", SIGKILL, never},
    {"PIPE", SIGPIPE, NULL},
    {"POLL", SIGPOLL, NULL},
    {"PROF", SIGPROF, "LuaJIT's profiler uses it"},
    {"QUIT", SIGQUIT, NULL},
    {"SEGV", SIGSEGV, fault},
    {"STOP", SIGSTOP, never},
    {"SYS", SIGSYS, fault},
    {"TERM", SIGTERM, NULL},
    {"TRAP", SIGTRAP, fault},
    {"TSTP", SIGTSTP, NULL},
    {"TTIN", SIGTTIN, NULL},
    {"TTOU", SIGTTOU, NULL},
    {"URG", SIGURG, NULL},
    {"USR1", SIGUSR1, NULL},
    {"USR2", SIGUSR2, NULL},
    {"VTALRM", SIGVTALRM, "moonpark.testing uses it to stop a test that never waits"},
    {"WINCH", SIGWINCH, NULL},
    {"XCPU", SIGXCPU, NULL},
    {"XFSZ", SIGXFSZ, NULL},
};

enum { SIGNALS = 32 }; /* all rows are below this: a set of signals fits in a word */

static const char subscription_mark = 0;

struct subscription {
    const void *mark;
    struct list link;  /* among the context's open ones */
    struct list queue; /* tasks that wait */
    const struct site *site;
    uint64_t id, creator; /* as struct conn's */
    uint32_t wanted;   /* a set of signals */
    uint32_t count;    /* of signals that arrived */
    uint8_t came[SIGNALS];
    bool open;
};

/* ---- names ---- */

static const struct signal_row *row_at(lua_State *L, int idx)
{
    const char *name = luaL_checkstring(L, idx);
    const char *bare = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, bare) == 0)
            return &rows[i];
    struct spelling s;
    spelling_begin(&s, bare);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!rows[i].kept)
            spelling_try(&s, rows[i].name);
    s.word = name;
    (void)face_unknown(L, idx, "signal", &s);
    return NULL;
}

int l_signal_number(lua_State *L, int idx) { return row_at(L, idx)->number; }

const char *l_signal_name(int signo)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].number == signo)
            return rows[i].name;
    return NULL;
}

/* ---- subscriptions ---- */

static struct subscription *self(lua_State *L)
{
    return face_self(L, 1, &subscription_mark, sizeof(struct subscription), "signals");
}

static void describe_set(const struct subscription *s, char *text, size_t n)
{
    size_t at = (size_t)snprintf(text, n, "signals:");
    for (size_t i = 0; i < ARRAY_LEN(rows) && at < n; i++)
        if (s->wanted & 1u << rows[i].number)
            at += (size_t)snprintf(text + at, n - at, " %s", rows[i].name);
}

static void describe(const struct task *t, char *text, size_t n) { describe_set(t->wait.object, text, n); }

static void leave(struct task *t) { list_del(&t->wait.self.link); }

static int push_name(lua_State *L, struct task *t)
{
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    lua_pushstring(L, l_signal_name(t->wait.result));
    return 1;
}

static const struct wait_kind kind_signal = {
    .name = "next", .push = push_name, .undo = leave, .describe = describe};

static void hand(struct subscription *s, int signo)
{
    if (!list_empty(&s->queue))
        sched_wake_waiter(container_of(s->queue.next, struct waiter, link), signo);
    else if (!memchr(s->came, signo, s->count))
        s->came[s->count++] = (uint8_t)signo;
}

bool l_signal_deliver(struct ctx *cx, int signo)
{
    bool theirs = false;
    for (struct list *l = cx->signals.next; signo < SIGNALS && l != &cx->signals; l = l->next) {
        struct subscription *s = container_of(l, struct subscription, link);
        if (s->wanted & 1u << signo) {
            hand(s, signo);
            theirs = true;
        }
    }
    return theirs;
}

/* Pushes the first one that arrived, and only then takes it. */
static int take(lua_State *L, struct subscription *s)
{
    lua_pushstring(L, l_signal_name(s->came[0]));
    memmove(s->came, s->came + 1, --s->count);
    return 1;
}

static int wait(lua_State *L, int64_t deadline)
{
    struct subscription *s = self(L);
    struct task *t = face_task(L, face_ctx(L));
    int r = sched_canceled(t) ? ERR_CANCELED : s->open ? 0 : ERR_CLOSED;
    if (r == 0 && s->count > 0)
        return face_return(L, t, take(L, s));
    if (r == 0)
        r = sched_park(t, &kind_signal, s, deadline, WAIT_OUTSIDE);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    list_push(&s->queue, &t->wait.self.link);
    return face_park(L, t);
}

/* next([timeout]) -> name | nil, err */
static int l_next(lua_State *L)
{
    (void)self(L);
    return wait(L, face_deadline_in(L, 2, face_ctx(L)));
}

/* As an iterator: for name in moonpark.signals(...) do */
static int l_call(lua_State *L)
{
    lua_settop(L, 1);
    return wait(L, 0);
}

static void unsubscribe(struct ctx *cx, struct subscription *s)
{
    s->open = false;
    list_del(&s->link);
    while (!list_empty(&s->queue))
        sched_wake_waiter(container_of(s->queue.next, struct waiter, link), ERR_CLOSED);
    for (int signo = 1; cx->opened && signo < SIGNALS; signo++)
        if (s->wanted & 1u << signo)
            signals_unwatch(cx->loop.poller, signo, true);
}

static int l_close(lua_State *L)
{
    struct subscription *s = self(L);
    if (s->open)
        unsubscribe(face_ctx(L), s);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_gc(lua_State *L)
{
    struct subscription *s = face_test(L, 1, &subscription_mark, sizeof *s);
    if (s && s->open)
        unsubscribe(face_ctx(L), s);
    return 0;
}

static int l_tostring(lua_State *L)
{
    struct subscription *s = self(L);
    char text[SIGNALS * 8];
    describe_set(s, text, sizeof text);
    lua_pushfstring(L, "%s%s", s->open ? "" : "closed ", text);
    return 1;
}

static uint32_t wanted(lua_State *L)
{
    uint32_t set = 0;
    int n = lua_gettop(L);
    for (int i = 1; i <= (n ? n : 1); i++) {
        const struct signal_row *row = row_at(L, i);
        if (row->kept)
            luaL_argerror(L, i, lua_pushfstring(L, "signal '%s' cannot be caught: %s", row->name, row->kept));
        set |= 1u << row->number;
    }
    return set;
}

/* signals(name, ...) -> subscription */
static int l_signals(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    uint32_t set = wanted(L);
    struct subscription *s = face_new(L, FACE_META_SIGNALS, sizeof *s);
    s->mark = &subscription_mark;
    s->open = true;
    list_init(&s->queue);
    list_push(&cx->signals, &s->link);
    if (cx->trace_conns) {
        s->site = site_here(&cx->sites, L, 1);
        s->id = ++cx->last_id;
        s->creator = face_running_id(cx);
    }
    for (int signo = 1; signo < SIGNALS; signo++) {
        if (!(set & 1u << signo))
            continue;
        int r = signals_watch(cx->loop.poller, signo, true);
        if (r < 0) {
            unsubscribe(cx, s);
            return luaL_error(L, "signal '%s': %s", l_signal_name(signo), errors_text(r));
        }
        s->wanted |= 1u << signo;
    }
    return 1;
}

/* ---- for reports ---- */

struct subscription_row {
    char text[SIGNALS * 8];
    uint64_t id, creator;
    const struct site *site;
};

/* signal_subscriptions() -> an array of {text, id, creator, site} of the open ones. Copied first: building tables runs
 * finalizers, which remove subscriptions from the list. */
static int l_subscriptions(lua_State *L)
{
    const struct list *all = &face_ctx(L)->signals;
    size_t n = 0, count = list_length(all);
    struct subscription_row *list = lua_newuserdata(L, count * sizeof *list);
    for (struct list *l = all->next; n < count && l != all; l = l->next) {
        const struct subscription *s = container_of(l, struct subscription, link);
        list[n] = (struct subscription_row){.id = s->id, .creator = s->creator, .site = s->site};
        describe_set(s, list[n++].text, sizeof list->text);
    }
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        site_push_made(L, list[i].text, -1, list[i].id, list[i].creator, list[i].site);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* signal_unsubscribe(id): closes that one */
static int l_unsubscribe(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = face_number(L, 1);
    for (struct list *l = cx->signals.next; l != &cx->signals; l = l->next) {
        struct subscription *s = container_of(l, struct subscription, link);
        if ((lua_Number)s->id != id)
            continue;
        unsubscribe(cx, s);
        break;
    }
    return 0;
}

/* ---- the command's ---- */

/* signal_watch(name) -> true | nil, err, errno: on_signal's function is called for it */
static int l_watch(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    return face_result(L, signals_watch(cx->loop.poller, l_signal_number(L, 1), false));
}

/* signal_unwatch(name): undoes one signal_watch */
static int l_unwatch(lua_State *L)
{
    signals_unwatch(face_ctx(L)->loop.poller, l_signal_number(L, 1), false);
    return 0;
}

/* signal_ignored(name) -> boolean: was this process started with that signal ignored */
static int l_ignored(lua_State *L)
{
    lua_pushboolean(L, signals_ignored(l_signal_number(L, 1)));
    return 1;
}

/* signal_default(name): call it before signal_watch; an earlier handler is no longer called */
static int l_default(lua_State *L)
{
    signals_default(l_signal_number(L, 1));
    return 0;
}

static int l_number(lua_State *L)
{
    lua_pushinteger(L, l_signal_number(L, 1));
    return 1;
}

/* on_signal(fn): fn(number) runs on the loop's own stack and must not wait. Not for signals with a subscription. */
static int l_on_signal(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_SIGNAL);
    return 0;
}

static const luaL_Reg methods[] = {
    {"__call", l_call}, {"__gc", l_gc}, {"__tostring", l_tostring}, {"close", l_close}, {"next", l_next},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"on_signal", l_on_signal},    {"signal_default", l_default}, {"signal_ignored", l_ignored},
    {"signal_number", l_number},   {"signal_subscriptions", l_subscriptions},
    {"signal_unsubscribe", l_unsubscribe}, {"signal_unwatch", l_unwatch}, {"signal_watch", l_watch},
    {"signals", l_signals},
    {NULL, NULL},
};

void l_signal_open(lua_State *L)
{
    list_init(&face_ctx(L)->signals);
    face_class(L, FACE_META_SIGNALS, "moonpark.signals", methods);
    face_functions(L, functions);
}
