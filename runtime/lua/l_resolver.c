/* SPDX-License-Identifier: MIT */
/* l_resolver.c - names to addresses: resolve, set_resolver.
 *
 * The lookup that a task waits for belongs to a userdata among the parked arguments: whatever happens to the
 * task, the collector releases the lookup. */
#include "lua/faces.h"

#include "base/errors.h"

#include <stdio.h>
#include <string.h>

static const char answer_mark = 0;

struct answer {
    const void *mark;
    struct lookup *lookup; /* NULL once it was released */
};

static void leave(struct answer *a)
{
    struct lookup *l = a->lookup;
    a->lookup = NULL;
    if (l)
        resolver_leave(l);
}

static int l_gc(lua_State *L)
{
    leave(face_self(L, 1, &answer_mark, sizeof(struct answer), "answer"));
    return 0;
}

/* ---- waiting ---- */

/* A finished lookup is kept: its addresses must still be pushed. */
static void undo(struct task *t)
{
    struct answer *a = t->wait.extra;
    list_del(&t->wait.self.link);
    if (a->lookup && !a->lookup->done)
        leave(a);
}

static void describe(const struct task *t, char *text, size_t n)
{
    const struct answer *a = t->wait.extra;
    snprintf(text, n, "%s", a->lookup ? a->lookup->name : "");
}

/* An array of addresses, or nil, text, errno. */
static int push_addresses(lua_State *L, const struct lookup *l)
{
    const struct ares_addrinfo_node *at = NULL;
    char text[ADDR_TEXT_MAX];
    struct addr a;
    lua_createtable(L, 2, 0);
    for (int i = 1; resolver_next(l, &at, &a); i++) {
        lua_pushlstring(L, text, addr_format_host(&a, text));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static int push(lua_State *L, struct task *t)
{
    struct answer *a = t->wait.extra;
    if (t->wait.result < 0)
        return face_error(L, t->wait.result);
    int n = push_addresses(L, a->lookup);
    leave(a);
    return n;
}

static const struct wait_kind kind_resolve = {
    .name = "resolve", .push = push, .undo = undo, .describe = describe};

static int wait_for(lua_State *L, struct task *t, struct answer *a, int64_t deadline)
{
    int r = sched_park(t, &kind_resolve, a, deadline, WAIT_OUTSIDE);
    if (r < 0) {
        leave(a);
        return face_return(L, t, face_error(L, r));
    }
    t->wait.extra = a;
    list_push(&a->lookup->waiters, &t->wait.self.link);
    return face_park(L, t);
}

/* It needed no wait. */
static int tell(lua_State *L, struct task *t, struct answer *a)
{
    int code = a->lookup->code;
    int n = code < 0 ? face_error(L, code) : push_addresses(L, a->lookup);
    leave(a);
    return face_return(L, t, n);
}

/* ---- the functions ---- */

static const char *check_host(lua_State *L, int idx, struct addr *a, size_t *n)
{
    const char *host = luaL_checklstring(L, idx, n);
    const char *wrong = addr_host(a, host, *n);
    if (wrong)
        luaL_argerror(L, idx, lua_pushfstring(L, "%s: '%s'", wrong, host));
    return host;
}

static int check_family(lua_State *L, int idx)
{
    static const char *const names[] = {"any", "ip4", "ip6", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    return families[luaL_checkoption(L, idx, "any", names)];
}

/* An address stands for itself. */
static int numeric(lua_State *L, struct task *t, const struct addr *a, int family)
{
    char text[ADDR_TEXT_MAX];
    if (family != AF_UNSPEC && family != a->any.sa_family)
        return face_return(L, t, face_error(L, ERR_NO_HOST));
    lua_createtable(L, 1, 0);
    lua_pushlstring(L, text, addr_format_host(a, text));
    lua_rawseti(L, -2, 1);
    return face_return(L, t, 1);
}

/* resolve(host, deadline, family) -> {address, ...} | nil, err, errno. deadline: absolute seconds */
static int l_resolve(lua_State *L)
{
    struct ctx *cx = face_loop(L);
    struct addr a;
    size_t n;
    const char *host = check_host(L, 1, &a, &n);
    int64_t deadline = face_deadline_at(L, 2, cx);
    int family = check_family(L, 3);
    struct task *t = face_task(L, cx);
    if (sched_canceled(t))
        return face_return(L, t, face_error(L, ERR_CANCELED));
    if (deadline < 0)
        return face_return(L, t, face_error(L, ERR_TIMEOUT));
    if (a.len > 0)
        return numeric(L, t, &a, family);

    struct answer *answer = face_new(L, FACE_META_ANSWER, sizeof *answer);
    answer->mark = &answer_mark;
    int r = resolver_start(&cx->resolver, &cx->loop, host, n, family, &answer->lookup);
    if (r < 0)
        return face_return(L, t, face_error(L, r));
    return answer->lookup->done ? tell(L, t, answer) : wait_for(L, t, answer, deadline);
}

/* resolve_check(host): raises if resolve would */
static int l_check(lua_State *L)
{
    struct addr a;
    size_t n;
    check_host(L, 1, &a, &n);
    return 0;
}

/* The table at idx keeps its strings alive. */
static int read_search(lua_State *L, int idx, const char **search)
{
    if (lua_isnoneornil(L, idx))
        return -1;
    luaL_checktype(L, idx, LUA_TTABLE);
    int n = (int)base_min(lua_objlen(L, idx), DNS_SEARCH_MAX + 1);
    luaL_argcheck(L, n <= DNS_SEARCH_MAX, idx, "at most 32 search domains expected");
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, idx, i + 1);
        search[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    return n;
}

/* resolver_configure(servers, search, ndots, timeout in ms, tries, lookups) -> true | nil, err, errno. All nil:
 * the system's settings; servers: "address:port,..." */
static int l_configure(lua_State *L)
{
    struct resolver *r = &face_loop(L)->resolver;
    struct dns_settings s = {
        .servers = luaL_optstring(L, 1, NULL),
        .ndots = luaL_optint(L, 3, -1),
        .timeout = luaL_optint(L, 4, -1),
        .tries = luaL_optint(L, 5, -1),
        .lookups = luaL_optstring(L, 6, NULL),
    };
    s.search_count = read_search(L, 2, s.search);
    bool system = !s.servers && !s.lookups && s.search_count < 0 && s.ndots < 0 && s.timeout < 0 && s.tries < 0;
    return face_result(L, resolver_configure(r, system ? NULL : &s));
}

static const luaL_Reg answer_methods[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"resolve", l_resolve}, {"resolve_check", l_check}, {"resolver_configure", l_configure}, {NULL, NULL},
};

void l_resolver_open(lua_State *L)
{
    face_class(L, FACE_META_ANSWER, "moonpark.answer", answer_methods);
    face_functions(L, functions);
}
