/* SPDX-License-Identifier: MIT */
/* l_detached.c - a list of pids that are not reaped yet: each is checked when SIGCHLD arrives. */
#include "lua/l_detached.h"

#include "base/sys.h"
#include "loop/signals.h"
#include "process/child.h"

#include <signal.h>
#include <stdio.h>

/* A detached process, until it is reaped: its userdata may be gone before. */
struct orphan {
    struct list link;
    pid_t pid;
    uint64_t id, creator; /* as struct conn's */
    const struct site *site;
};

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

void l_detached_signaled(struct ctx *cx, int signo)
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
        char text[48];
        snprintf(text, sizeof text, "detached process %d", (int)o->pid);
        site_push_made(L, text, -1, o->id, o->creator, o->site);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* process_end_detached(id): kills that one's session at once */
static int l_end_detached(lua_State *L)
{
    struct ctx *cx = face_ctx(L);
    lua_Number id = face_number(L, 1);
    reap_orphans(cx); /* afterwards the pids belong to our children for certain */
    for (const struct list *l = cx->orphans.next; l != &cx->orphans; l = l->next) {
        const struct orphan *o = container_of(l, struct orphan, link);
        if ((lua_Number)o->id == id)
            (void)sys_kill_group(o->pid, SIGKILL);
    }
    return 0;
}

void l_detached_close(struct ctx *cx)
{
    while (!list_empty(&cx->orphans))
        drop_orphan(container_of(cx->orphans.next, struct orphan, link));
}

struct orphan *l_detached_new(uint64_t creator, const struct site *site)
{
    struct orphan *o = sys_alloc(sizeof *o);
    if (!o)
        return NULL;
    list_init(&o->link);
    o->creator = creator;
    o->site = site;
    return o;
}

void l_detached_free(struct orphan *o) { sys_free(o); }

/* The check finds one that ended before SIGCHLD was watched. */
void l_detached_add(struct ctx *cx, struct orphan *o, pid_t pid)
{
    o->pid = pid;
    o->id = ++cx->last_id;
    if (list_empty(&cx->orphans))
        (void)signals_watch(cx->loop.poller, SIGCHLD, false);
    list_push(&cx->orphans, &o->link);
    reap_orphans(cx);
}

static const luaL_Reg functions[] = {
    {"process_detached", l_detached}, {"process_end_detached", l_end_detached}, {NULL, NULL}};

void l_detached_open(lua_State *L)
{
    list_init(&face_ctx(L)->orphans);
    face_functions(L, functions);
}
