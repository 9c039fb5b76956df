-- SPDX-License-Identifier: MIT
-- The HTTP servers of the benchmark: how each is started, and what it needs here.

local process = require "process"
local start = require "start"
local system = require "system"

local BUILD = start.BUILD

local M = {}

local function folder() return assert(os.getenv "PWD") .. "/" .. BUILD end

-- One worker, nothing logged, and connections that live as long as wrk wants.
local NGINX = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
master_process off;
pcre_jit on;
pid %snginx.pid;
error_log stderr;
events { worker_connections 20000; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path %sbody;
  upstream files { server 127.0.0.1:%s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:%s backlog=4096;
    default_type text/plain;
    location = /hello { content_by_lua_block { ngx.header.content_length = 13 ngx.print("Hello, World!") } }
    location ~ ^/hello/([^/]+)$ {
      content_by_lua_block {
        local body = "Hello, " .. ngx.var[1] .. "!"
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /json {
      default_type application/json;
      content_by_lua_block {
        local body = require("cjson").encode { message = "Hello, World!" }
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location ~ ^/users/([^/]+)$ {
      default_type application/json;
      content_by_lua_block {
        local var = ngx.var
        local body = require("cjson").encode {
          id = var[1],
          page = ngx.req.get_uri_args().page,
          language = var.http_accept_language,
          session = var.cookie_session,
          scores = { 3, 14, 159 },
        }
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /form {
      default_type application/json;
      content_by_lua_block {
        ngx.req.read_body()
        local body = require("cjson").encode(ngx.req.get_post_args())
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location = /echo {
      client_body_buffer_size 64k;
      content_by_lua_block {
        ngx.req.read_body()
        local body = ngx.req.get_body_data()
        ngx.header.content_length = #body
        ngx.print(body)
      }
    }
    location /files/ { alias %s; }
    location /proxy/ {
      proxy_pass http://files/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering on;
    }
  }
}
]]

---An nginx on a core, with the routes of the others. It relays /proxy/ to the port `upstream`.
---@return table process
function M.nginx_at(name, core, port, upstream)
  local here, path = folder(), BUILD .. "nginx-" .. name .. ".conf"
  start.write_file(path, NGINX:format(here .. name, here, upstream or "1", port, here))
  local options = { quiet = true, argv = { "nginx", "-p", here, "-c", folder() .. "nginx-" .. name .. ".conf" } }
  options.name, options.core, options.log = "nginx " .. name, core, BUILD .. "nginx-" .. name .. ".log"
  local child = process.start(options)
  child:wait_port(tonumber(port))
  return child
end

local function start_nginx(upstream)
  local port = tostring(process.free_port())
  return M.nginx_at("server", system.server_core, port, upstream), port
end

local function announced(name, options)
  return function()
    local child = start.server("http " .. name, options())
    return child, child:expect "^listening (%d+)$"
  end
end

-- Its log goes to the standard output, as a script's does that asks for nothing else.
local function start_middleware()
  local port = tostring(process.free_port())
  local child = start.server("http middleware", { quiet = true, argv = { "sh", "-c", 'exec "$@" >/dev/null', "sh",
    system.luajit, start.HERE .. "middleware_moonpark.lua", "127.0.0.1:" .. port } })
  child:wait_port(tonumber(port))
  return child, port
end

---Each starts a server and returns the process and its port.
M.starters = {
  moonpark = announced("moonpark", function() return start.luajit_script("http_moonpark.lua", folder()) end),
  ["moonpark with middleware"] = start_middleware,
  ["moonpark, priced"] = announced("costs", function() return start.luajit_script "costs_moonpark.lua" end),
  ["C limit"] = announced("limit", function() return { argv = { BUILD .. "limit_http" } } end),
  ["nginx with Lua"] = start_nginx,
  nginx = start_nginx,
  Bun = announced("Bun", function() return { argv = { system.bun, start.HERE .. "http_bun.js" } } end),
  ["Go net/http"] = announced("Go", function() return { argv = { BUILD .. "http_go" }, env = start.GO } end),
  ["Node http"] = announced("Node", function() return { argv = { "node", start.HERE .. "http_node.js" } } end),
  ["lua-http"] = announced("lua-http", function() return start.luajit_script "http_lua_http.lua" end),
}

---What each of them needs, as `system` calls it.
M.needs = { moonpark = "moonpark", ["moonpark with middleware"] = "moonpark",
  ["moonpark, priced"] = "moonpark", ["C limit"] = "cc",
  ["nginx with Lua"] = "nginx-lua", nginx = "nginx", Bun = "bun", ["Go net/http"] = "go", ["Node http"] = "node",
  ["lua-http"] = "lua-http" }

return M
