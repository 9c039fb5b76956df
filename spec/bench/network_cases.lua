-- SPDX-License-Identifier: MIT
-- The cases of the network face: datagrams, relays, dials, lookups, files. What a case is: see cases.lua.

local process = require "process"
local system = require "system"
local start = require "start"

local BUILD = start.BUILD
local SOCKETS, DATAGRAM = 64, 64
local UDP_WARM_UP, UDP_OPERATIONS = 40000, 100000
local GIBIBYTE = 1073741824
local FILE = BUILD .. "gibibyte"

local function here() return assert(os.getenv "PWD") end

-- UDP echo ---------------------------------------------------------------------------------------------------------

local udp_servers = {
  moonpark = function() return start.luajit_script "udp_moonpark.lua" end,
  ["C loop"] = function() return { argv = { BUILD .. "limit_udp" } } end,
}

local function open_udp(name)
  local child = start.server("udp " .. name, udp_servers[name]())
  local port = child:expect "^listening (%d+)$"
  local load = start.load("udp " .. name, { BUILD .. "load_udp", port, tostring(SOCKETS), tostring(DATAGRAM) })
  load:expect "^connected %d+$"
  start.run_load(load, child, UDP_WARM_UP)
  return start.cpu_per_operation("udp", child, load, UDP_OPERATIONS)
end

-- Relays -----------------------------------------------------------------------------------------------------------

-- Debian's defaults, one thread, nothing logged.
local HAPROXY = [[
global
  nbthread 1
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
%s
listen relay
  bind 127.0.0.1:%s
  server target 127.0.0.1:%s
]]

local function haproxy(options)
  return function(port, target)
    local path = BUILD .. "haproxy.cfg"
    start.write_file(path, HAPROXY:format(options, port, target))
    return { argv = { "haproxy", "-db", "-q", "-f", path }, quiet = true }
  end
end

local relays = {
  moonpark = function(port, target)
    return { argv = { system.luajit, "examples/proxy.lua", "127.0.0.1:" .. port, "127.0.0.1:" .. target },
      quiet = true }
  end,
  HAProxy = haproxy "",
  ["HAProxy, splice-auto"] = haproxy "  option splice-auto",
}

local function open_relay(name, connections, size, operations)
  local load = start.load("relay " .. name, { BUILD .. "load_relay", tostring(connections), tostring(size) })
  local target = load:expect "^listening (%d+)$"
  local port = tostring(process.free_port())
  local child = start.server("relay " .. name, relays[name](port, target))
  child:wait_port(tonumber(port))
  start.run_load(load, child, tonumber(port)) -- the first line is the port; one operation each follows
  start.run_load(load, child, operations)
  return start.cpu_per_operation("relay", child, load, operations)
end

local function relay_case(fields, connections, size, operations)
  local function one(name, needs)
    return start.contender(name, needs, function() return open_relay(name, connections, size, operations) end)
  end
  fields.slices, fields.metrics = 3, { "relay" }
  fields.contenders = { one("moonpark", "moonpark"), one("HAProxy", "haproxy"),
    one("HAProxy, splice-auto", "haproxy") }
  return fields
end

-- Files ------------------------------------------------------------------------------------------------------------

local NGINX = [[
daemon off;
master_process off;
pid %s/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  server { listen 127.0.0.1:%s; root %s; }
}
]]

local function start_fetch_nginx()
  local port, folder = tostring(process.free_port()), here() .. "/" .. BUILD
  start.write_file(BUILD .. "nginx.conf", NGINX:format(folder, port, folder))
  local child = start.server("fetch nginx", { quiet = true,
    argv = { "nginx", "-p", folder, "-c", folder .. "nginx.conf" } })
  child:wait_port(tonumber(port))
  return child, port
end

local function start_fetch_moonpark()
  local child = start.server("fetch moonpark", start.luajit_script("fetch_moonpark.lua", FILE))
  return child, child:expect "^listening (%d+)$"
end

local function make_gibibyte()
  local block = ("0123456789abcdef"):rep(65536)
  local file = assert(io.open(FILE, "w"))
  for _ = 1, GIBIBYTE / #block do assert(file:write(block)) end
  assert(file:close())
end

local function has_gibibyte()
  local file = io.open(FILE)
  local size = file and file:seek "end"
  if file then file:close() end
  return size == GIBIBYTE
end

local function open_fetch(name, starter)
  if not has_gibibyte() then make_gibibyte() end
  local child, port = starter()
  local load = start.load("fetch " .. name, { BUILD .. "load_fetch", port, "/gibibyte" })
  load:expect "^connected %d+$"
  start.run_load(load, child, 1)
  return start.cpu_per_operation("file", child, load, 1, 1e3)
end

local function fetch_contender(name, needs, starter)
  return start.contender(name, needs, function() return open_fetch(name, starter) end)
end

-- Dials and lookups: the process measures itself against a server on the other core --------------------------------

local function with_peer(peer, operation, title, unit_goal)
  return start.micro(operation, title, unit_goal, function()
    local child = start.load(peer, { BUILD .. peer })
    return child, child:expect "^listening (%d+)$"
  end)
end

---@return table[] in the order they run
return function()
  return {
    {
      name = "udp", title = "UDP echo: 64 sockets, 64-byte datagrams, server CPU per echo", unit = "µs CPU",
      format = "%.2f", slices = 4, metrics = { "udp" },
      contenders = { start.contender("moonpark", "moonpark", function() return open_udp "moonpark" end),
        start.contender("C loop", "cc", function() return open_udp "C loop" end) },
      goals = { { beside = { "C loop" }, at_most = 1.15 } },
    },
    relay_case({
      name = "relay", title = "examples/proxy.lua, 64 connections, 64-byte messages there and back, CPU per message",
      unit = "µs CPU", format = "%.2f", goals = { { beside = { "HAProxy" }, at_most = 1.15 } },
    }, 64, 64, 60000),
    relay_case({
      name = "relay-blocks", title = "examples/proxy.lua, 8 connections, 1 MiB blocks there and back, CPU per block",
      unit = "µs CPU", format = "%.0f", goals = { { beside = { "HAProxy" }, at_most = 1.0 } },
    }, 8, 1048576, 1500),
    with_peer("sink", "dial", "10,000 dials to a local listener", 1),
    with_peer("dns_server", "lookup", "1,000 lookups at once, A and AAAA, of a local DNS server"),
    {
      name = "sendfile", title = "a file of 1 GiB over one connection, server CPU", unit = "ms CPU", format = "%.0f",
      slices = 2, metrics = { "file" },
      contenders = { fetch_contender("moonpark", "moonpark", start_fetch_moonpark),
        fetch_contender("nginx", "nginx", start_fetch_nginx) },
      goals = { { beside = { "nginx" }, at_most = 1.05 } },
    },
  }
end
