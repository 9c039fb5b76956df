-- SPDX-License-Identifier: MIT
-- support/openresty.lua - what a script that uses `ngx` says inside nginx, with Debian's module for Lua.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local testing = require "moonpark.testing"

local M = {}

--- What sanitizers and another LuaJIT need of this process is not for others.
M.env = { env = { LD_PRELOAD = false, LD_LIBRARY_PATH = false, LUA_PATH = false, LUA_CPATH = false } }

local MODULES = "/usr/lib/nginx/modules/"

local CONFIG = [[
load_module %sndk_http_module.so;
load_module %sngx_http_lua_module.so;
daemon off;
master_process off;
pid %s/pid;
error_log %s/errors warn;
%s
events {}
http {
  access_log off;
  resolver 127.0.0.1 ipv6=off;
  resolver_timeout 200ms;
  lua_shared_dict dict 1m;
  %s
  client_body_temp_path %s/body;
  server {
    listen unix:%s/socket;
    location / { content_by_lua_file %s/script.lua; }
  }
}
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- nil, or what is not installed.
---@return string|nil
function M.missing()
  local file = io.open(MODULES .. "ngx_http_lua_module.so")
  if not file then return "nginx's module for Lua is not installed (libnginx-mod-http-lua)" end
  file:close()
end

-- Until nginx listens. A test that waits in vain ends by its time.
local function wait_for(path)
  while true do
    local conn = net.dial("unix:" .. path)
    if conn then
      conn:close()
      return
    end
    moonpark.sleep(0.01)
  end
end

---@class support.openresty.nginx
local Nginx = {}
Nginx.__index = Nginx

--- nginx, with the script as what answers each request; stop() ends it.
---@param script string
---@param settings? string more lines of the http block
function M.start(script, settings)
  local folder = testing.tempdir()
  local root = process.run({ "id", "-u" }).out == "0\n" and "user root;" or ""
  write(folder .. "/script.lua", script)
  write(folder .. "/nginx.conf", CONFIG:format(MODULES, MODULES, folder, folder, root, settings or "", folder, folder,
    folder))
  local self = setmetatable({ folder = folder }, Nginx)
  self.child = process.start({ "nginx", "-c", folder .. "/nginx.conf", "-p", folder, "-e", folder .. "/errors" }, M.env)
  wait_for(folder .. "/socket")
  return self
end

--- What it has sent. The arguments are curl's.
---@param ... string
---@return string
function Nginx:ask(...)
  local r = process.run({ "curl", "-s", "--max-time", "40", "--unix-socket", self.folder .. "/socket", ... }, M.env)
  if r.status ~= 0 then
    local file = io.open(self.folder .. "/errors")
    error(("curl ended with %d: %s"):format(r.status, file and file:read "*a" or ""))
  end
  return r.out
end

function Nginx:stop()
  self.child:kill "KILL"
  self.child:wait()
end

--- The script's answer to one request.
---@param script string
---@param url string
---@param settings? string more lines of the http block
---@return string
function M.run(script, url, settings)
  local nginx = M.start(script, settings)
  local ok, answer = pcall(nginx.ask, nginx, url)
  nginx:stop()
  if not ok then error(answer, 0) end
  return answer
end

return M
