/* SPDX-License-Identifier: MIT */
/* l_x509.c - the Lua face of keys, certificates and sealing: text goes in and text comes out, nothing is kept.
 *
 * What a call has of OpenSSL and of our memory is in a userdata while it runs: pushing a result may raise. */
#include "lua/faces.h"

#include "base/sys.h"
#include "net/keys.h"
#include "net/x509.h"

#include <string.h>

enum { NAMES = 100, RANDOM = 1024 };

static const char mark = 0;

struct work {
    const void *mark;
    struct evp_pkey_st *key;
    struct x509_st *certificate;
    struct buf made;
    struct x509_facts facts;
};

static struct work *begin(lua_State *L)
{
    struct work *w = face_new(L, FACE_META_X509, sizeof *w);
    w->mark = &mark;
    return w;
}

static void end(struct work *w)
{
    keys_free(w->key);
    x509_free(w->certificate);
    w->key = NULL;
    w->certificate = NULL;
    buf_fini(&w->made);
    x509_facts_fini(&w->facts);
}

static int l_gc(lua_State *L)
{
    struct work *w = face_test(L, 1, &mark, sizeof *w);
    if (w)
        end(w);
    return 0;
}

static int fail(lua_State *L, struct work *w, int r)
{
    end(w);
    return face_error(L, r);
}

/* What was made, or why nothing was. */
static int finish(lua_State *L, struct work *w, int r)
{
    if (r < 0)
        return fail(L, w, r);
    lua_pushlstring(L, buf_at(&w->made), buf_len(&w->made));
    end(w);
    return 1;
}

static int read_key(lua_State *L, struct work *w, int idx)
{
    size_t n;
    const char *text = luaL_checklstring(L, idx, &n);
    return keys_read(&w->key, text, n);
}

static int push_bytes(lua_State *L, const unsigned char *bytes, size_t n, int r)
{
    if (r < 0)
        return face_error(L, r);
    lua_pushlstring(L, (const char *)bytes, n);
    return 1;
}

/* ---- keys: all return nil, err, errno where they fail ---- */

/* key_new() -> a new key on the curve P-256, in PEM */
static int l_key_new(lua_State *L)
{
    struct work *w = begin(L);
    int r = keys_generate(&w->key);
    return finish(L, w, r < 0 ? r : keys_write(w->key, &w->made));
}

/* key_point(key) -> x and y, 32 bytes each */
static int l_key_point(lua_State *L)
{
    unsigned char point[2 * KEYS_PLACE];
    luaL_checkstring(L, 1);
    struct work *w = begin(L);
    int r = read_key(L, w, 1);
    if (r >= 0)
        r = keys_point(w->key, point);
    end(w);
    return push_bytes(L, point, sizeof point, r);
}

/* key_sign(key, bytes) -> r and s, 32 bytes each */
static int l_key_sign(lua_State *L)
{
    size_t n;
    unsigned char signature[2 * KEYS_PLACE];
    luaL_checkstring(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &n);
    struct work *w = begin(L);
    int r = read_key(L, w, 1);
    if (r >= 0)
        r = keys_sign(w->key, bytes, n, signature);
    end(w);
    return push_bytes(L, signature, sizeof signature, r);
}

static const unsigned char *pair_at(lua_State *L, int idx)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, idx, &n);
    luaL_argcheck(L, n == 2 * KEYS_PLACE, idx, "64 bytes expected");
    return (const unsigned char *)bytes;
}

/* key_verify(point, bytes, signature) -> is it one of that key? */
static int l_key_verify(lua_State *L)
{
    size_t n;
    const unsigned char *point = pair_at(L, 1), *signature = pair_at(L, 3);
    const char *bytes = luaL_checklstring(L, 2, &n);
    int r = keys_verify(point, bytes, n, signature);
    if (r < 0)
        return face_error(L, r);
    lua_pushboolean(L, r);
    return 1;
}

/* sha256(bytes) -> 32 bytes */
static int l_sha256(lua_State *L)
{
    size_t n;
    unsigned char hash[KEYS_HASH];
    const char *bytes = luaL_checklstring(L, 1, &n);
    return push_bytes(L, hash, sizeof hash, keys_sha256(bytes, n, hash));
}

/* hmac_sha256(secret, bytes) -> 32 bytes */
static int l_hmac_sha256(lua_State *L)
{
    size_t n, secret_n;
    unsigned char mac[KEYS_HASH];
    const char *secret = luaL_checklstring(L, 1, &secret_n), *bytes = luaL_checklstring(L, 2, &n);
    return push_bytes(L, mac, sizeof mac, keys_hmac(secret, secret_n, bytes, n, mac));
}

static const unsigned char *bytes_at(lua_State *L, int idx, size_t wanted)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, idx, &n);
    luaL_argcheck(L, n == wanted, idx, "wrong number of bytes");
    return (const unsigned char *)bytes;
}

/* seal(secret: 32 bytes, nonce: 12 bytes, also, bytes) -> encrypted, 16 bytes longer; AES-256-GCM */
static int l_seal(lua_State *L)
{
    size_t n, also_n;
    const unsigned char *secret = bytes_at(L, 1, KEYS_SECRET), *nonce = bytes_at(L, 2, KEYS_NONCE);
    const char *also = luaL_checklstring(L, 3, &also_n), *bytes = luaL_checklstring(L, 4, &n);
    unsigned char *sealed = lua_newuserdata(L, n + KEYS_TAG);
    return push_bytes(L, sealed, n + KEYS_TAG, keys_seal(secret, nonce, also, also_n, bytes, n, sealed));
}

/* unseal(secret, nonce, also, sealed) -> what seal was given */
static int l_unseal(lua_State *L)
{
    size_t n, also_n;
    const unsigned char *secret = bytes_at(L, 1, KEYS_SECRET), *nonce = bytes_at(L, 2, KEYS_NONCE);
    const char *also = luaL_checklstring(L, 3, &also_n), *sealed = luaL_checklstring(L, 4, &n);
    unsigned char *bytes = lua_newuserdata(L, n + 1);
    int r = keys_unseal(secret, nonce, also, also_n, (const unsigned char *)sealed, n, bytes);
    return push_bytes(L, bytes, r < 0 ? 0 : n - KEYS_TAG, r);
}

/* secure_random(n) -> n bytes */
static int l_secure_random(lua_State *L)
{
    unsigned char bytes[RANDOM];
    size_t n = face_size(L, 1, 1, sizeof bytes);
    luaL_argcheck(L, n <= sizeof bytes, 1, "at most 1024 bytes");
    return push_bytes(L, bytes, n, keys_random(bytes, n));
}

/* ---- certificates: the same ---- */

/* The names in the list at idx, which stays on the stack and so keeps them. */
static size_t names_at(lua_State *L, int idx, const char *names[NAMES])
{
    luaL_checktype(L, idx, LUA_TTABLE);
    size_t n = lua_objlen(L, idx);
    luaL_argcheck(L, n <= NAMES, idx, "at most 100 names");
    for (size_t i = 0; i < n; i++) {
        size_t length;
        lua_rawgeti(L, idx, (int)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, idx, "list of names expected");
        names[i] = lua_tolstring(L, -1, &length);
        luaL_argcheck(L, strlen(names[i]) == length, idx, "name contains a zero byte");
        lua_pop(L, 1);
    }
    return n;
}

/* x509_self_signed(key, names, not_before, not_after[, challenge: 32 bytes]) -> PEM */
static int l_self_signed(lua_State *L)
{
    size_t n;
    const char *names[NAMES];
    luaL_checkstring(L, 1);
    struct x509_order order = {.names = names, .count = names_at(L, 2, names)};
    order.not_before = (int64_t)face_number(L, 3);
    order.not_after = (int64_t)face_number(L, 4);
    order.challenge = (const unsigned char *)luaL_optlstring(L, 5, NULL, &n);
    luaL_argcheck(L, !order.challenge || n == KEYS_HASH, 5, "32 bytes expected");
    struct work *w = begin(L);
    int r = read_key(L, w, 1);
    return finish(L, w, r < 0 ? r : x509_self_signed(w->key, &order, &w->made));
}

/* x509_request(key, names) -> DER */
static int l_request(lua_State *L)
{
    const char *names[NAMES];
    luaL_checkstring(L, 1);
    struct x509_order order = {.names = names, .count = names_at(L, 2, names)};
    struct work *w = begin(L);
    int r = read_key(L, w, 1);
    return finish(L, w, r < 0 ? r : x509_request(w->key, &order, &w->made));
}

static void set_text(lua_State *L, const char *name, const struct buf *text)
{
    lua_pushlstring(L, buf_at(text), buf_len(text));
    lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, int64_t seconds)
{
    lua_pushnumber(L, (lua_Number)seconds);
    lua_setfield(L, -2, name);
}

/* A list of what stands in the buffer, each with a zero byte behind it. */
static void set_list(lua_State *L, const char *name, const struct buf *texts)
{
    int n = 0;
    lua_newtable(L);
    for (size_t at = 0; at < buf_len(texts); at += strlen(buf_at(texts) + at) + 1) {
        lua_pushstring(L, buf_at(texts) + at);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, name);
}

/* As people compare it: "AB:CD:..." */
static void set_fingerprint(lua_State *L, const unsigned char *bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[3 * X509_FINGERPRINT];
    for (int i = 0; i < X509_FINGERPRINT; i++) {
        text[3 * i] = digits[bytes[i] >> 4];
        text[3 * i + 1] = digits[bytes[i] & 15];
        text[3 * i + 2] = ':';
    }
    lua_pushlstring(L, text, sizeof text - 1);
    lua_setfield(L, -2, "fingerprint");
}

static void push_facts(lua_State *L, const struct x509_facts *facts)
{
    lua_createtable(L, 0, 9);
    set_text(L, "subject", &facts->subject);
    set_text(L, "issuer", &facts->issuer);
    set_text(L, "serial", &facts->serial);
    set_list(L, "dns_names", &facts->dns_names);
    set_list(L, "ip_addresses", &facts->ip_addresses);
    set_time(L, "not_before", facts->not_before);
    set_time(L, "not_after", facts->not_after);
    set_fingerprint(L, facts->fingerprint);
    lua_pushstring(L, facts->key);
    lua_setfield(L, -2, "key");
}

/* x509_read(certificate[, key]) -> table; the key must be the certificate's */
static int l_read(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    bool with_key = !lua_isnoneornil(L, 2);
    if (with_key)
        luaL_checkstring(L, 2);
    struct work *w = begin(L);
    int r = x509_read(&w->certificate, text, n);
    if (r >= 0 && with_key)
        r = read_key(L, w, 2);
    if (r >= 0 && with_key)
        r = x509_matches(w->certificate, w->key);
    if (r >= 0)
        r = x509_describe(w->certificate, &w->facts);
    if (r < 0)
        return fail(L, w, r);
    push_facts(L, &w->facts);
    end(w);
    return 1;
}

static const luaL_Reg methods[] = {
    {"__gc", l_gc}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"hmac_sha256", l_hmac_sha256}, {"key_new", l_key_new}, {"key_point", l_key_point}, {"key_sign", l_key_sign},
    {"key_verify", l_key_verify}, {"seal", l_seal}, {"secure_random", l_secure_random}, {"sha256", l_sha256},
    {"unseal", l_unseal}, {"x509_read", l_read}, {"x509_request", l_request}, {"x509_self_signed", l_self_signed},
    {NULL, NULL},
};

void l_x509_open(lua_State *L)
{
    face_class(L, FACE_META_X509, "moonpark.x509", methods);
    face_functions(L, functions);
}
