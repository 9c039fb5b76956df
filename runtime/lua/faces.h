/* SPDX-License-Identifier: MIT */
/* faces.h - the faces that no other face uses: each adds its functions to the table on top of the stack.
 *
 * A face that others use has its own header. */
#ifndef MOONPARK_FACES_H
#define MOONPARK_FACES_H

#include "lua/face.h"

void l_bind_open(lua_State *L);
void l_conn_time_open(lua_State *L);
void l_conn_write_open(lua_State *L);
void l_crash_open(lua_State *L);
void l_debug_open(lua_State *L);
void l_fs_open(lua_State *L);
void l_heartbeat_open(lua_State *L);
void l_http_file_open(lua_State *L);
void l_http_form_open(lua_State *L);
void l_http_forward_open(lua_State *L);
void l_http_log_open(lua_State *L);
void l_http_request_open(lua_State *L);
void l_http_router_open(lua_State *L);
void l_http_server_open(lua_State *L);
void l_init_open(lua_State *L);
void l_json_open(lua_State *L);
void l_locals_open(lua_State *L);
void l_net_open(lua_State *L);
void l_netpoll_open(lua_State *L);
void l_notify_open(lua_State *L);
void l_reader_open(lua_State *L);
void l_resolver_open(lua_State *L);
void l_run_open(lua_State *L);
void l_select_open(lua_State *L);
void l_share_open(lua_State *L);
void l_sync_open(lua_State *L);
void l_time_open(lua_State *L);
void l_unix_open(lua_State *L);
void l_watch_open(lua_State *L);
void l_watchdog_open(lua_State *L);
void l_worker_open(lua_State *L);
void l_ws_group_open(lua_State *L);
void l_x509_open(lua_State *L);

#endif
