-- SPDX-License-Identifier: MIT
-- The cases of HTTPS: TLS 1.3 with TLS_AES_128_GCM_SHA256 and one ECDSA certificate for all. What a case is: see
-- cases.lua.

local http_case = require "http_case"
local servers = require "http_servers"
local start = require "start"
local system = require "system"

local BUILD = start.BUILD
local WARM_UP, HANDSHAKES = 500, 2000
local IDLE_CONNECTIONS = 10000
local MEBIBYTE = 1024 * 1024

local HELLO = { target = "/hello", answer = "Hello, World!", tls = true,
  fields = { "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: de,en-US;q=0.7,en;q=0.3", "Accept-Encoding: gzip, deflate, br",
    "Referer: https://127.0.0.1/", "Connection: keep-alive" } }
local FILE = { target = "/files/mebibyte", tls = true }

local function contender(name, open)
  local it = start.contender(name, servers.needs[name], open)
  it.missing = it.missing or system.missing.openssl
  return it
end

local function certified(case)
  for _, it in ipairs(case.contenders) do it.missing = it.missing or system.missing.openssl end
  return case
end

-- Handshakes -------------------------------------------------------------------------------------------------------

local function open_handshakes(name, mode)
  local child, port = servers.secure[name]()
  local load = start.load(name, { BUILD .. "load_tls", port, mode })
  load:expect "^connected %d+$"
  start.run_load(load, child, WARM_UP)
  return start.cpu_per_operation("connection", child, load, HANDSHAKES)
end

local function handshake_case(mode, fields)
  fields.unit, fields.slices, fields.metrics, fields.format = "µs CPU", 2, { "connection" }, "%.1f"
  fields.goals = { { beside = { "nginx with Lua" }, at_most = 1.05 } }
  fields.contenders = {}
  for _, name in ipairs { "moonpark", "nginx with Lua", "Bun", "Go net/http" } do
    table.insert(fields.contenders, contender(name, function() return open_handshakes(name, mode) end))
  end
  return fields
end

-- Idle connections -------------------------------------------------------------------------------------------------

local function slice_idle(name)
  local child, port = servers.secure[name]()
  child:wait_idle()
  local before = child:memory()
  local load = start.load("idle " .. name, { BUILD .. "load_tls", port, "idle", tostring(IDLE_CONNECTIONS) })
  load:expect "^connected %d+$"
  child:wait_idle()
  local bytes = (child:memory() - before) / IDLE_CONNECTIONS
  load:stop()
  child:stop()
  return { ["a connection"] = { cost = bytes } }
end

local function idle_case()
  local case = { name = "https-idle",
    title = "HTTPS: memory of an idle keep-alive connection that has asked once, at 10,000: growth of the server's "
      .. "private anonymous memory",
    unit = "bytes", format = "%.0f", slices = 1, metrics = { "a connection" }, contenders = {},
    goals = { { beside = { "nginx with Lua" }, at_most = 1 } } }
  for _, name in ipairs { "moonpark", "nginx with Lua", "Bun", "Go net/http" } do
    local it = contender(name, function()
      return { slice = function() return slice_idle(name) end, stop = function() end }
    end)
    if not it.missing and system.descriptors < IDLE_CONNECTIONS + 200 then
      it.missing = "only " .. system.descriptors .. " descriptors are allowed here"
    end
    table.insert(case.contenders, it)
  end
  return case
end

---@return table[] in the order they run
return function()
  start.write_file(BUILD .. "mebibyte", ("0123456789abcdef"):rep(MEBIBYTE / 16))
  return {
    certified(http_case.new({ name = "https", title = "HTTPS: plaintext, wrk with 64 connections",
      goals = { { beside = { "nginx with Lua" }, at_most = 0.85 } } }, HELLO,
      { "moonpark", "nginx with Lua", "Bun", "Go net/http" })),
    handshake_case("full", { name = "https-handshake",
      title = "HTTPS: a full handshake, one request and the end, 32 at a time" }),
    handshake_case("resumed", { name = "https-resumed",
      title = "HTTPS: a handshake resumed by a ticket, one request and the end, 32 at a time" }),
    certified(http_case.new({ name = "https-file", title = "HTTPS: a file of 1 MiB", format = "%.0f",
      goals = { { beside = { "nginx" }, at_most = 1.05 } } }, FILE, { "moonpark", "nginx" })),
    idle_case(),
  }
end
