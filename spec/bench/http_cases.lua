-- SPDX-License-Identifier: MIT
-- The cases of HTTP, under wrk: who answers a request with how much CPU. What a case is: see cases.lua.

local process = require "process"
local start = require "start"
local system = require "system"

local BUILD = start.BUILD
local CONNECTIONS, SECONDS, DEPTH = 64, 1, 16
local IDLE_CONNECTIONS = 10000

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function folder() return assert(os.getenv "PWD") .. "/" .. BUILD end

-- Servers: each starter returns the process and its port -----------------------------------------------------------

-- One worker, nothing logged, and connections that live as long as wrk wants.
local NGINX = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
master_process off;
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
    location = /json {
      default_type application/json;
      content_by_lua_block {
        local body = require("cjson").encode { message = "Hello, World!" }
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

local function nginx_at(name, core, port, upstream)
  local here, path = folder(), BUILD .. "nginx-" .. name .. ".conf"
  write_file(path, NGINX:format(here .. name, here, upstream or "1", port, here))
  local options = { quiet = true, argv = { "nginx", "-p", here, "-c", folder() .. "nginx-" .. name .. ".conf" } }
  options.name, options.core, options.log = "nginx " .. name, core, BUILD .. "nginx-" .. name .. ".log"
  local child = process.start(options)
  child:wait_port(tonumber(port))
  return child
end

local function start_nginx(upstream)
  local port = tostring(process.free_port())
  return nginx_at("server", system.server_core, port, upstream), port
end

local function announced(name, options)
  return function()
    local child = start.server("http " .. name, options())
    return child, child:expect "^listening (%d+)$"
  end
end

local starters = {
  moonpark = announced("moonpark", function() return start.luajit_script("http_moonpark.lua", folder()) end),
  ["C limit"] = announced("limit", function() return { argv = { BUILD .. "limit_http" } } end),
  ["nginx with Lua"] = start_nginx,
  nginx = start_nginx,
  ["Go net/http"] = announced("Go", function() return { argv = { BUILD .. "http_go" }, env = start.GO } end),
  ["Node http"] = announced("Node", function() return { argv = { "node", start.HERE .. "http_node.js" } } end),
  ["lua-http"] = announced("lua-http", function() return start.luajit_script "http_lua_http.lua" end),
}

local needs = { moonpark = "moonpark", ["C limit"] = "cc", ["nginx with Lua"] = "nginx-lua", nginx = "nginx",
  ["Go net/http"] = "go", ["Node http"] = "node", ["lua-http"] = "lua-http" }

-- The load ---------------------------------------------------------------------------------------------------------

local PIPELINE = [[
init = function()
  local requests = {}
  for i = 1, %d do requests[i] = wrk.format("GET", "/hello") end
  all = table.concat(requests)
end
request = function() return all end
]]

local POST = [[
wrk.method = "POST"
wrk.body = ("0123456789abcdef"):rep(64)
]]

-- -> requests, seconds
local function run_wrk(port, path, script, connections)
  local argv = { "wrk", "-t1", "-c" .. (connections or CONNECTIONS), "-d" .. SECONDS }
  if script then
    local file = BUILD .. "wrk.lua"
    write_file(file, script)
    table.insert(argv, "-s")
    table.insert(argv, file)
  end
  table.insert(argv, ("http://127.0.0.1:%s%s"):format(port, path))
  local load = start.load("http", argv)
  local output = load:finish()
  load:stop()
  local requests, seconds = output:match("(%d+) requests in ([%d.]+)s")
  if not requests or output:find "Non%-2xx" or output:find "Socket errors" and not output:find "read 0, write 0" then
    error("wrk was not content; it wrote:\n" .. output, 0)
  end
  return tonumber(requests), tonumber(seconds)
end

local function open_http(name, path, script)
  local child, port = starters[name]()
  run_wrk(port, path, script)
  return {
    slice = function()
      local before = child:cpu()
      local requests, seconds = run_wrk(port, path, script)
      return { request = { cost = (child:cpu() - before) / requests * 1e6, rate = requests / seconds } }
    end,
    stop = function() child:stop() end,
  }
end

local function http_case(fields, path, script, names)
  fields.unit, fields.slices, fields.metrics = "µs CPU", 2, { "request" }
  fields.format = fields.format or "%.2f"
  fields.contenders = {}
  for _, name in ipairs(names) do
    local function open() return open_http(name, path, script) end
    table.insert(fields.contenders, start.contender(name, needs[name], open))
  end
  for _, contender in ipairs(fields.contenders) do
    contender.missing = contender.missing or system.missing.wrk
  end
  return fields
end

-- A relay of files between wrk and an nginx on the load's core ------------------------------------------------------

local proxies = {
  moonpark = function(upstream)
    local child = start.server("http proxy", start.luajit_script("http_moonpark.lua", "", "127.0.0.1:" .. upstream))
    return child, child:expect "^listening (%d+)$", "/files/small"
  end,
  nginx = function(upstream)
    local child, port = start_nginx(upstream)
    return child, port, "/proxy/files/small"
  end,
}

local function open_proxy(name)
  write_file(BUILD .. "small", ("0123456789abcdef"):rep(64))
  local upstream = tostring(process.free_port())
  local backend = nginx_at("upstream", system.load_core, upstream)
  local child, port, path = proxies[name](upstream)
  run_wrk(port, path)
  return {
    slice = function()
      local before = child:cpu()
      local requests, seconds = run_wrk(port, path)
      return { request = { cost = (child:cpu() - before) / requests * 1e6, rate = requests / seconds } }
    end,
    stop = function()
      child:stop()
      backend:stop()
    end,
  }
end

local function proxy_case(fields)
  fields.unit, fields.slices, fields.metrics, fields.format = "µs CPU", 2, { "request" }, "%.2f"
  fields.contenders = {}
  for _, name in ipairs { "moonpark", "nginx" } do
    table.insert(fields.contenders, start.contender(name, needs[name], function() return open_proxy(name) end))
  end
  return fields
end

-- Idle connections -------------------------------------------------------------------------------------------------

local function slice_idle()
  local child, port = starters.moonpark()
  run_wrk(port, "/hello")
  child:wait_idle()
  local function cost()
    local before = child:cpu()
    local requests = run_wrk(port, "/hello")
    return (child:cpu() - before) / requests * 1e6
  end
  local alone = cost()
  child:wait_idle()
  local before = child:memory()
  local load = start.load("idle", { BUILD .. "load_idle", port, tostring(IDLE_CONNECTIONS) })
  load:expect "^connected %d+$"
  child:wait_idle()
  local bytes = (child:memory() - before) / IDLE_CONNECTIONS
  local beside = cost()
  load:stop()
  child:stop()
  return { ["bytes a connection"] = { cost = bytes },
    ["µs CPU of a request beside them"] = { cost = beside },
    ["µs CPU of a request without them"] = { cost = alone } }
end

local function idle_case()
  local it = start.contender("moonpark", "moonpark", function()
    return { slice = slice_idle, stop = function() end }
  end)
  if not it.missing and system.descriptors < IDLE_CONNECTIONS + 200 then
    it.missing = "only " .. system.descriptors .. " descriptors are allowed here"
  end
  return { name = "http-idle", title = "10,000 idle keep-alive connections: METRIC",
    unit = "", format = "%.2f", slices = 1,
    metrics = { "bytes a connection", "µs CPU of a request beside them", "µs CPU of a request without them" },
    contenders = { it } }
end

local ALL = { "moonpark", "C limit", "nginx with Lua", "Go net/http", "Node http", "lua-http" }
local MADE = { "moonpark", "nginx with Lua", "Go net/http", "Node http", "lua-http" }

---@return table[] in the order they run
return function()
  local mebibyte = BUILD .. "mebibyte"
  write_file(mebibyte, ("0123456789abcdef"):rep(65536))
  return {
    http_case({ name = "http", title = "HTTP: plaintext through router and handler, wrk with 64 connections",
      goals = { { beside = { "C limit" }, at_most = 1.10 }, { beside = { "nginx with Lua" }, at_most = 0.85 },
        { beside = { "Go net/http" }, at_most = 0.55 } } }, "/hello", nil, ALL),
    http_case({ name = "http-pipelined", title = "the same, 16 requests at a time", format = "%.3f",
      goals = { { beside = { "C limit" }, at_most = 2 }, { beside = { "nginx with Lua" }, at_most = 0.2 } } },
      "/hello", PIPELINE:format(DEPTH), ALL),
    http_case({ name = "http-json", title = "HTTP: JSON made by the handler",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.85 } } }, "/json", nil, MADE),
    http_case({ name = "http-post", title = "HTTP: a POST of 1 KiB echoed",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.85 } } }, "/echo", POST, MADE),
    http_case({ name = "http-file", title = "HTTP: a file of 1 MiB", format = "%.0f",
      goals = { { beside = { "nginx" }, at_most = 1.1 } } }, "/files/mebibyte", nil, { "moonpark", "nginx" }),
    proxy_case { name = "http-proxy", title = "HTTP: a file of 1 KiB from nginx, through a reverse proxy",
      goals = { { beside = { "nginx" }, at_most = 1.2 } } },
    idle_case(),
  }
end
