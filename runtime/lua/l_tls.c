/* SPDX-License-Identifier: MIT */
/* l_tls.c - the Lua face of TLS: setups and contexts, which lua/moonpark/tls/ fills in, and what connections have of
 * them. The userdata hold references: what is in use outlives them. */
#include "lua/l_tls.h"

#include "lua/faces.h"

#include "base/errors.h"
#include "base/sys.h"
#include "lua/l_conn.h"
#include "net/tls.h"

#include <errno.h>

static const char setup_mark = 0, context_mark = 0;

struct setup_face {
    const void *mark;
    struct tls_setup *setup;
};

struct context_face {
    const void *mark;
    struct tls_layer *layer;
};

static struct tls_setup *setup_at(lua_State *L, int idx)
{
    struct setup_face *f = face_self(L, idx, &setup_mark, sizeof *f, "TLS setup");
    luaL_argcheck(L, f->setup, idx, "it is in use already");
    return f->setup;
}

static struct tls_layer *layer_at(lua_State *L, int idx)
{
    struct context_face *f = face_self(L, idx, &context_mark, sizeof *f, "TLS context");
    return f->layer;
}

/* ---- setups ---- */

/* tls_setup(accepts) -> setup | nil, err */
static int l_setup(lua_State *L)
{
    struct setup_face *f = face_new(L, FACE_META_TLS_SETUP, sizeof *f);
    f->mark = &setup_mark;
    f->setup = tls_setup_new(lua_toboolean(L, 1));
    return f->setup ? 1 : face_error(L, -ENOMEM);
}

static int l_setup_gc(lua_State *L)
{
    struct setup_face *f = face_test(L, 1, &setup_mark, sizeof *f);
    if (f && f->setup)
        tls_setup_unref(f->setup);
    if (f)
        f->setup = NULL;
    return 0;
}

/* All of these return true | nil, err, errno. */

/* certificate(chain, key), both in PEM */
static int l_certificate(lua_State *L)
{
    size_t n, key_n;
    const char *chain = luaL_checklstring(L, 2, &n), *key = luaL_checklstring(L, 3, &key_n);
    return face_result(L, tls_setup_certificate(setup_at(L, 1), chain, n, key, key_n));
}

/* trust(authorities in PEM | nil: the system's) */
static int l_trust(lua_State *L)
{
    size_t n;
    if (lua_isnoneornil(L, 2))
        return face_result(L, tls_setup_trust_system(setup_at(L, 1)));
    const char *pem = luaL_checklstring(L, 2, &n);
    return face_result(L, tls_setup_trust(setup_at(L, 1), pem, n));
}

/* ocsp(response in DER) */
static int l_ocsp(lua_State *L)
{
    size_t n;
    const char *der = luaL_checklstring(L, 2, &n);
    return face_result(L, tls_setup_ocsp(setup_at(L, 1), der, n));
}

/* ciphers(list of OpenSSL's) */
static int l_ciphers(lua_State *L)
{
    return face_result(L, tls_setup_ciphers(setup_at(L, 1), luaL_checkstring(L, 2)));
}

/* suites(list of OpenSSL's) */
static int l_suites(lua_State *L)
{
    return face_result(L, tls_setup_suites(setup_at(L, 1), luaL_checkstring(L, 2)));
}

static int version_at(lua_State *L, int idx)
{
    static const char *const versions[] = {"1.2", "1.3", NULL};
    return 2 + luaL_checkoption(L, idx, NULL, versions);
}

/* min_version("1.2" | "1.3") */
static int l_min_version(lua_State *L)
{
    return face_result(L, tls_setup_min_version(setup_at(L, 1), version_at(L, 2)));
}

/* max_version("1.2" | "1.3") */
static int l_max_version(lua_State *L)
{
    return face_result(L, tls_setup_max_version(setup_at(L, 1), version_at(L, 2)));
}

/* alpn(names, each with its length before it) */
static int l_alpn(lua_State *L)
{
    size_t n;
    const char *wire = luaL_checklstring(L, 2, &n);
    return face_result(L, tls_setup_alpn(setup_at(L, 1), wire, n));
}

/* tickets(boolean): may sessions be resumed */
static int l_tickets(lua_State *L)
{
    tls_setup_tickets(setup_at(L, 1), lua_toboolean(L, 2));
    return face_result(L, 0);
}

/* verify("none" | "request" | "require") */
static int l_verify(lua_State *L)
{
    static const char *const words[] = {[TLS_VERIFY_NONE] = "none", [TLS_VERIFY_IF_GIVEN] = "request",
                                        [TLS_VERIFY] = "require", NULL};
    tls_setup_verify(setup_at(L, 1), (enum tls_verify)luaL_checkoption(L, 2, NULL, words));
    return face_result(L, 0);
}

/* name(other setup, name | nil: all in its certificate) */
static int l_name(lua_State *L)
{
    struct tls_setup *setup = setup_at(L, 1), *other = setup_at(L, 2);
    luaL_argcheck(L, setup != other, 2, "another setup expected");
    const char *name = luaL_optstring(L, 3, NULL);
    return face_result(L, name ? tls_setup_name(setup, name, other) : tls_setup_names(setup, other));
}

/* raw() -> SSL_CTX: it lives as long as the setup, or the context that took it */
static int l_setup_raw(lua_State *L)
{
    lua_pushlightuserdata(L, tls_setup_ssl(setup_at(L, 1)));
    return 1;
}

/* ---- contexts ---- */

/* tls_context(setup) -> context | nil, err, errno; the setup cannot be changed any more */
static int l_context(lua_State *L)
{
    struct tls_setup *setup = setup_at(L, 1);
    struct context_face *f = face_new(L, FACE_META_TLS_CONTEXT, sizeof *f);
    f->mark = &context_mark;
    struct tls_context *context = tls_context_new(setup);
    if (!context)
        return face_error(L, -ENOMEM);
    ((struct setup_face *)lua_touserdata(L, 1))->setup = NULL;
    f->layer = tls_layer_new(context);
    tls_context_unref(context);
    return f->layer ? 1 : face_error(L, -ENOMEM);
}

static int l_context_gc(lua_State *L)
{
    struct context_face *f = face_test(L, 1, &context_mark, sizeof *f);
    if (f && f->layer)
        tls_layer_unref(f->layer);
    if (f)
        f->layer = NULL;
    return 0;
}

/* use(setup): for the connections that are made from now on */
static int l_use(lua_State *L)
{
    struct tls_layer *layer = layer_at(L, 1);
    struct tls_setup *setup = setup_at(L, 2);
    ((struct setup_face *)lua_touserdata(L, 2))->setup = NULL;
    tls_context_use(layer->context, setup);
    return 0;
}

/* ticket_keys(one to three keys in one string | nil: random ones) */
static int l_ticket_keys(lua_State *L)
{
    size_t n = 0;
    struct tls_context *context = layer_at(L, 1)->context;
    const char *keys = luaL_optlstring(L, 2, NULL, &n);
    luaL_argcheck(L, n % TLS_TICKET_KEY == 0 && n <= TLS_TICKET_KEYS * TLS_TICKET_KEY, 2, "keys expected");
    if (n > 0)
        tls_ticket_give(&context->tickets, (const unsigned char *)keys, (int)(n / TLS_TICKET_KEY));
    return 0;
}

/* The functions that choose certificates are in a table on a stack of their own: a context may end where no other
 * lua_State is at hand. */
static lua_State *choosers(struct tls_context *context)
{
    return container_of(context->loop, struct ctx, loop)->choosers;
}

static void forget_chooser(struct tls_context *context)
{
    luaL_unref(choosers(context), 1, context->asker);
}

static void push_context(lua_State *L, struct tls_context *context)
{
    struct context_face *f = face_new(L, FACE_META_TLS_CONTEXT, sizeof *f);
    f->mark = &context_mark;
    f->layer = tls_layer_new(context);
    if (!f->layer)
        luaL_error(L, "not enough memory");
}

/* What is raised here is tried again in the next turn, until there is memory. The userdata keeps the context
 * meanwhile: finalizers may close connections. */
static void ask(struct late *late)
{
    struct tls_context *context = container_of(late, struct tls_context, ask);
    lua_State *L = container_of(context->loop, struct ctx, loop)->L;
    struct tls_question q;
    int top = lua_gettop(L);
    loop_late(context->loop, late);
    push_context(L, context);
    while (tls_context_question(context, &q)) {
        lua_rawgeti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_TLS);
        lua_rawgeti(choosers(context), 1, context->asker);
        lua_xmove(choosers(context), L, 1);
        lua_pushvalue(L, top + 1);
        lua_pushnumber(L, (lua_Number)q.number);
        lua_pushstring(L, q.name);
        lua_pushstring(L, q.challenge ? "acme-tls/1" : NULL);
        lua_call(L, 5, 0);
        tls_context_told(context, q.number);
    }
    list_del(&late->link);
    lua_settop(L, top);
}

/* ask(choose): for a name that no certificate is for, the function of on_tls_question is called with this one. The
 * context keeps it. Once only */
static int l_ask(lua_State *L)
{
    struct tls_context *context = layer_at(L, 1)->context;
    struct ctx *cx = face_loop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, !context->loop, 1, "it asks already");
    lua_settop(L, 2);
    lua_pushvalue(cx->choosers, 1);
    lua_xmove(cx->choosers, L, 1);
    lua_insert(L, 2);
    context->asker = luaL_ref(L, 2);
    context->loop = &cx->loop;
    context->ask.run = ask;
    context->ended = forget_chooser;
    return 0;
}

/* answer(question, context | nil): its certificate; nil: the first one */
static int l_answer(lua_State *L)
{
    struct tls_context *context = layer_at(L, 1)->context;
    struct tls_setup *setup = lua_isnoneornil(L, 3) ? NULL : layer_at(L, 3)->context->setup;
    tls_context_answer(context, (uint64_t)face_number(L, 2), setup);
    return 0;
}

/* on_tls_question(fn): fn(choose, context, question, name, protocol) runs on the loop's own stack and must not wait */
static int l_on_question(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_HOOK_TLS);
    return 0;
}

/* accepts() -> boolean */
static int l_accepts(lua_State *L)
{
    lua_pushboolean(L, layer_at(L, 1)->context->accepts);
    return 1;
}

/* ---- connections ---- */

static struct conn *conn_at(lua_State *L, enum conn_kind kind, const char *expected)
{
    struct conn *c = l_conn_test(L, 1);
    luaL_argcheck(L, c && c->kind == kind, 1, expected);
    return c;
}

/* tls_listen(listener, context): TLS lies over every stream that it accepts */
static int l_listen(lua_State *L)
{
    struct conn *c = conn_at(L, CONN_LISTENER, "listener expected");
    struct tls_layer *layer = layer_at(L, 2);
    luaL_argcheck(L, layer->context->accepts, 2, "context of a server expected");
    conn_set_layer(c, &layer->layer);
    return 0;
}

/* tls_cover(connection, context, name, alpn) -> true | nil, err, errno: TLS lies over its stream from now on. name:
 * whom a client wants to speak to; alpn: what it offers if the context does not say, each with its length before it;
 * of a server the protocol that it answers, "": none, whatever the context says */
static int l_cover(lua_State *L)
{
    struct conn *c = conn_at(L, CONN_STREAM, "connection expected");
    struct tls_context *context = layer_at(L, 2)->context;
    size_t n = 0;
    char name[TLS_NAME];
    const char *text = context->accepts ? NULL : luaL_optlstring(L, 3, NULL, &n);
    bool blind = context->accepts || tls_setup_verifies(context->setup) == TLS_VERIFY_NONE;
    luaL_argcheck(L, text || blind, 3, "whom the certificate must be for");
    if (text && tls_name_read(name, text, n) == TLS_NAME_NONE)
        return face_error(L, errors_code("server_name is neither a host's name nor an address"));
    struct tls_layer once = tls_layer_once(context, text ? name : NULL);
    size_t alpn_n = 0;
    const char *alpn = luaL_optlstring(L, 4, NULL, &alpn_n);
    luaL_argcheck(L, !context->accepts || alpn_n <= TLS_ALPN, 4, "too long");
    int r = conn_cover(c, &once.layer, context->accepts);
    if (r == 0 && alpn && context->accepts)
        tls_choose(&c->stream, alpn, alpn_n);
    else if (r == 0 && alpn)
        r = tls_offer(&c->stream, alpn, alpn_n);
    return face_result(L, r == -EPROTO ? errors_code("plain bytes were received before TLS") : r);
}

static void field(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

int l_tls_push_info(lua_State *L, struct conn *c)
{
    struct tls_info info;
    lua_createtable(L, 0, 6);
    if (c->closed || !tls_info(&c->stream, &info))
        return 0;
    field(L, "version", info.version);
    field(L, "cipher", info.cipher);
    if (info.server_name[0])
        field(L, "server_name", info.server_name);
    if (info.alpn_n > 0) {
        lua_pushlstring(L, info.alpn, info.alpn_n);
        lua_setfield(L, -2, "alpn");
    }
    lua_pushboolean(L, info.resumed);
    lua_setfield(L, -2, "resumed");
    lua_pushboolean(L, info.verified);
    lua_setfield(L, -2, "verified");
    return 1;
}

/* tls_info(connection) -> table | nil: it is not TLS, or has not shaken hands */
static int l_info(lua_State *L) { return l_tls_push_info(L, conn_at(L, CONN_STREAM, "connection expected")); }

int l_tls_push_certificate(lua_State *L, struct conn *c)
{
    int n = c->closed ? 0 : tls_peer_certificate(&c->stream, NULL, 0);
    if (n <= 0)
        return n < 0 ? face_error(L, n) : 0;
    unsigned char *der = lua_newuserdata(L, (size_t)n);
    if (c->closed || tls_peer_certificate(&c->stream, der, (size_t)n) != n)
        return 0;
    lua_pushlstring(L, (const char *)der, (size_t)n);
    return 1;
}

/* tls_certificate(connection) -> the peer's certificate in DER | nil */
static int l_peer_certificate(lua_State *L)
{
    return l_tls_push_certificate(L, conn_at(L, CONN_STREAM, "connection expected"));
}

/* tls_raw(connection) -> SSL | nil: it is not TLS, or closed. Never to be kept */
static int l_raw(lua_State *L)
{
    struct conn *c = conn_at(L, CONN_STREAM, "connection expected");
    struct ssl_st *ssl = c->closed ? NULL : tls_ssl(&c->stream);
    if (!ssl)
        return 0;
    lua_pushlightuserdata(L, ssl);
    return 1;
}

/* tls_go_on(connection, mode) -> true | false: its handshake is over, or it is not TLS. The certificate is verified as
 * OpenSSL's mode says; what is wrong is told by tls_troubles, and the handshake goes on */
static int l_go_on(lua_State *L)
{
    struct conn *c = conn_at(L, CONN_STREAM, "connection expected");
    struct tls_info info;
    bool fresh = !c->closed && tls_is(&c->stream) && !tls_info(&c->stream, &info);
    if (fresh)
        tls_go_on(&c->stream, luaL_checkint(L, 2));
    lua_pushboolean(L, fresh);
    return 1;
}

/* tls_troubles(connection) -> depth, code, depth, code ...: of each thing that tls_go_on has gone on over */
static int l_troubles(lua_State *L)
{
    struct conn *c = conn_at(L, CONN_STREAM, "connection expected");
    int n = 0;
    luaL_checkstack(L, 2 * TLS_TROUBLES, "too many troubles");
    for (int depth, code; !c->closed && tls_trouble(&c->stream, n, &depth, &code); n++) {
        lua_pushinteger(L, depth);
        lua_pushinteger(L, code);
    }
    return 2 * n;
}

/* tls_stats() -> open, handshakes, resumed, failed */
static int l_stats(lua_State *L)
{
    struct tls_stats stats;
    tls_stats(&stats);
    lua_pushnumber(L, (lua_Number)stats.open);
    lua_pushnumber(L, (lua_Number)stats.handshakes);
    lua_pushnumber(L, (lua_Number)stats.resumed);
    lua_pushnumber(L, (lua_Number)stats.failed);
    return 4;
}

static const luaL_Reg setup_methods[] = {
    {"__gc", l_setup_gc},
    {"alpn", l_alpn},
    {"certificate", l_certificate},
    {"ciphers", l_ciphers},
    {"max_version", l_max_version},
    {"min_version", l_min_version},
    {"name", l_name},
    {"ocsp", l_ocsp},
    {"raw", l_setup_raw},
    {"suites", l_suites},
    {"tickets", l_tickets},
    {"trust", l_trust},
    {"verify", l_verify},
    {NULL, NULL},
};

static const luaL_Reg context_methods[] = {
    {"__gc", l_context_gc},
    {"accepts", l_accepts},
    {"answer", l_answer},
    {"ask", l_ask},
    {"ticket_keys", l_ticket_keys},
    {"use", l_use},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"on_tls_question", l_on_question},
    {"tls_certificate", l_peer_certificate},
    {"tls_context", l_context},
    {"tls_cover", l_cover},
    {"tls_go_on", l_go_on},
    {"tls_info", l_info},
    {"tls_listen", l_listen},
    {"tls_raw", l_raw},
    {"tls_setup", l_setup},
    {"tls_stats", l_stats},
    {"tls_troubles", l_troubles},
    {NULL, NULL},
};

void l_tls_open(lua_State *L)
{
    face_class(L, FACE_META_TLS_SETUP, "moonpark.tls.setup", setup_methods);
    face_class(L, FACE_META_TLS_CONTEXT, "moonpark.tls.context", context_methods);
    face_functions(L, functions);
    lua_State *thread = face_ctx(L)->choosers = lua_newthread(L);
    lua_createtable(L, 8, 0);
    lua_xmove(L, thread, 1);
    lua_rawseti(L, lua_upvalueindex(FACE_UP_ANCHORS), FACE_TLS_CHOOSERS);
}
