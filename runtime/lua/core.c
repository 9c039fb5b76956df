/* SPDX-License-Identifier: MIT */
/* core.c - luaopen_moonpark_core: makes the context and opens the faces around it. */
#include "lua/face.h"

#include "base/sys.h"
#include "base/sys_file.h"
#include "loop/signals.h"
#include "lua/faces.h"
#include "lua/l_chan.h"
#include "lua/l_conn.h"
#include "lua/l_detached.h"
#include "lua/l_fd.h"
#include "lua/l_http.h"
#include "lua/l_http_client.h"
#include "lua/l_interrupt.h"
#include "lua/l_move.h"
#include "lua/l_packet.h"
#include "lua/l_process.h"
#include "lua/l_shared.h"
#include "lua/l_runaway.h"
#include "lua/l_signal.h"
#include "lua/l_stdout.h"
#include "lua/l_task.h"
#include "lua/l_tls.h"
#include "lua/l_writer.h"
#include "lua/l_ws.h"

#include <string.h>

#ifndef MOONPARK_VERSION
#error "MOONPARK_VERSION comes from the Makefile"
#endif

static const char context_key = 0;
enum { FIRST_SLOTS = 128 }; /* places in the anchors for 64 tasks: more make it grow */

/* Finalizers run newest first, so everything that points here is gone by now, save what was open. */
static int close_context(lua_State *L)
{
    struct ctx *cx = lua_touserdata(L, 1);
    l_runaway_close(cx);
    l_interrupt_close(cx);
    if (cx->alloc)
        lua_setallocf(L, cx->alloc, cx->alloc_data);
    l_stdout_close(cx);
    l_writer_close(cx);
    if (cx->opened) {
        while (!list_empty(&cx->loop.conns))
            conn_close(container_of(cx->loop.conns.next, struct conn, link));
        (void)conn_leave_share(&cx->loop); /* with no listener left it cannot fail */
        resolver_close(&cx->resolver);
        l_detached_close(cx);
        signals_forget(cx->loop.poller);
        loop_close(&cx->loop);
        cx->opened = false;
        if (cx->shared_beat)
            sys_unmap_part(cx->shared_beat, sizeof *cx->shared_beat);
    }
    sites_fini(&cx->sites);
    sys_free(cx->tasks);
    sys_free(cx->threads);
    sys_free(cx->idle);
    cx->tasks = NULL;
    cx->threads = NULL;
    cx->idle = NULL;
    cx->slots = cx->slot_capacity = cx->idle_count = cx->places = 0;
    cx->ended = true; /* finalizers of objects older than this one may still call us */
    return 0;
}

static void (*const openers[])(lua_State *) = {
    l_task_open, l_locals_open, l_run_open, l_conn_open, l_conn_write_open, l_fd_open, l_packet_open,
    l_conn_time_open, l_unix_open, l_reader_open, l_move_open, l_net_open, l_bind_open, l_http_open,
    l_http_request_open, l_http_form_open, l_http_router_open, l_http_server_open, l_http_client_open,
    l_http_forward_open, l_http_file_open, l_http_log_open, l_ws_open, l_ws_group_open, l_json_open, l_netpoll_open,
    l_fs_open, l_watch_open, l_resolver_open, l_chan_open, l_select_open, l_stdout_open, l_sync_open, l_time_open,
    l_tls_open, l_x509_open, l_signal_open, l_detached_open, l_process_open, l_debug_open, l_watchdog_open,
    l_worker_open, l_share_open, l_shared_open, l_shared_counter_open, l_init_open, l_notify_open, l_runaway_open,
    l_heartbeat_open, l_crash_open, l_writer_open,
};

static int open_faces(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < ARRAY_LEN(openers); i++)
        openers[i](L);
    lua_pushlightuserdata(L, (void *)&face_token);
    lua_setfield(L, -2, "parked");
    lua_pushliteral(L, MOONPARK_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}

static void push_context(lua_State *L)
{
    struct ctx *cx = lua_newuserdata(L, sizeof *cx);
    memset(cx, 0, sizeof *cx);
    lua_newtable(L);
    lua_pushcfunction(L, close_context);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushlightuserdata(L, (void *)&context_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

__attribute__((visibility("default"))) int luaopen_moonpark_core(lua_State *L);

int luaopen_moonpark_core(lua_State *L)
{
    lua_settop(L, 0);
    sys_keep_freed();
    sys_fill_standard();
    push_context(L);
    lua_createtable(L, FACE_KEYS + FIRST_SLOTS, 0);
    lua_pushcclosure(L, open_faces, 2);
    lua_call(L, 0, 1);
    return 1;
}
