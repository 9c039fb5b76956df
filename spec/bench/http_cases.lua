-- SPDX-License-Identifier: MIT
-- The cases of HTTP, under wrk: who answers a request with how much CPU. What a case is: see cases.lua.

local http_case = require "http_case"
local process = require "process"
local servers = require "http_servers"
local start = require "start"
local system = require "system"
local wrk = require "wrk"

local BUILD = start.BUILD
local DEPTH = 16
local IDLE_CONNECTIONS = 10000

-- Requests ---------------------------------------------------------------------------------------------------------

local HELLO = { target = "/hello", answer = "Hello, World!" }
local JSON = { target = "/json", answer = { message = "Hello, World!" } }
local KIBIBYTE = ("0123456789abcdef"):rep(64)
local POST = { method = "POST", target = "/echo", body = KIBIBYTE, answer = KIBIBYTE }
local MEBIBYTE = { target = "/files/mebibyte" }

-- A relay of files between wrk and an nginx on the load's core ------------------------------------------------------

local proxies = {
  moonpark = function(upstream)
    local child = start.server("http proxy", start.luajit_script("http_moonpark.lua", "", "127.0.0.1:" .. upstream))
    return child, child:expect "^listening (%d+)$", "/files/small"
  end,
  nginx = function(upstream)
    local child, port = servers.starters.nginx(upstream)
    return child, port, "/proxy/files/small"
  end,
}

local function open_proxy(name)
  start.write_file(BUILD .. "small", KIBIBYTE)
  local upstream = tostring(process.free_port())
  local backend = servers.nginx_at("upstream", system.load_core, upstream)
  local child, port, path = proxies[name](upstream)
  return http_case.measured(child, port, { target = path, answer = KIBIBYTE }, 1, function()
    child:stop()
    backend:stop()
  end)
end

local function proxy_case(fields)
  fields.unit, fields.slices, fields.metrics, fields.format = "µs CPU", 2, { "request" }, "%.2f"
  fields.contenders = {}
  for _, name in ipairs { "moonpark", "nginx" } do
    table.insert(fields.contenders, http_case.contender(name, servers.needs[name], function()
      return open_proxy(name)
    end))
  end
  return fields
end

-- Idle connections -------------------------------------------------------------------------------------------------

local function slice_idle()
  local child, port = servers.starters.moonpark()
  local script = wrk.script(HELLO, 1)
  wrk.run(port, script)
  child:wait_idle()
  local function cost()
    local before = child:cpu()
    local requests = wrk.run(port, script)
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

local ALL = { "moonpark", "C limit", "nginx with Lua", "Bun", "Go net/http", "Node http", "lua-http" }
local MADE = { "moonpark", "nginx with Lua", "Bun", "Go net/http", "Node http", "lua-http" }

---@return table[] in the order they run
return function()
  start.write_file(BUILD .. "mebibyte", KIBIBYTE:rep(1024))
  return {
    http_case.new({ name = "http", title = "HTTP: plaintext through router and handler, wrk with 64 connections",
      goals = { { beside = { "C limit" }, at_most = 1.08 }, { beside = { "nginx with Lua" }, at_most = 0.8 },
        { beside = { "Go net/http" }, at_most = 0.55 } } }, HELLO, ALL),
    http_case.new({ name = "http-pipelined", title = "HTTP: plaintext, 16 requests at a time", depth = DEPTH,
      goals = { { beside = { "C limit" }, at_most = 2 }, { beside = { "nginx with Lua" }, at_most = 0.2 } } },
      HELLO, ALL),
    http_case.new({ name = "http-json", title = "HTTP: JSON made by the handler",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.85 } } }, JSON, MADE),
    http_case.new({ name = "http-post", title = "HTTP: a POST of 1 KiB echoed",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.85 } } }, POST, MADE),
    http_case.new({ name = "http-file", title = "HTTP: a file of 1 MiB", format = "%.0f",
      goals = { { beside = { "nginx" }, at_most = 1.1 } } }, MEBIBYTE, { "moonpark", "nginx" }),
    proxy_case { name = "http-proxy", title = "HTTP: a file of 1 KiB from nginx, through a reverse proxy",
      goals = { { beside = { "nginx" }, at_most = 0.95 } } },
    idle_case(),
  }
end
