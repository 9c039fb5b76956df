/* SPDX-License-Identifier: MIT */
/* lua.c - a fuzz target that is written in Lua: $FUZZ_SCRIPT returns a function, which is called with the bytes and
 * raises what does not hold. libFuzzer is told of each line that runs, so that it looks for new ones. */
#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[1 << 14];

static lua_State *lua;

static void count_line(lua_State *L, lua_Debug *where)
{
    if (!lua_getinfo(L, "Sl", where))
        return;
    uint32_t hash = (uint32_t)where->currentline;
    for (const char *c = where->short_src; *c; c++)
        hash = hash * 31 + (uint8_t)*c;
    uint8_t *counter = &counters[hash % sizeof counters];
    *counter += *counter < 255;
}

static void must_do(int status)
{
    if (status == 0)
        return;
    fprintf(stderr, "%s\n", lua_tostring(lua, -1));
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *script = getenv("FUZZ_SCRIPT");
    lua = luaL_newstate();
    if (!lua || !script)
        abort();
    luaL_openlibs(lua);
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* compiled code calls no hooks */
    lua_getglobal(lua, "debug");
    lua_getfield(lua, -1, "traceback");
    must_do(luaL_loadfile(lua, script) || lua_pcall(lua, 0, 1, 0));
    lua_sethook(lua, count_line, LUA_MASKLINE, 0);
    return 0;
}

/* On the stack: debug, traceback, the function. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    lua_pushvalue(lua, 3);
    lua_pushlstring(lua, (const char *)bytes, n);
    must_do(lua_pcall(lua, 1, 0, 2));
    return 0;
}
