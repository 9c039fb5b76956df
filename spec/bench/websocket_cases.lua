-- SPDX-License-Identifier: MIT
-- The cases of WebSockets: echoes of small and large messages, one message to many, and what an idle socket holds. What
-- a case is: see cases.lua.

local start = require "start"
local system = require "system"

local MANY, WARM_UP = 10000, 5
local BUILD = start.BUILD

local servers = {
  moonpark = function(mode) return start.luajit_script("websocket_moonpark.lua", mode) end,
  ["Node ws"] = function(mode)
    return { argv = { "node", start.HERE .. "websocket_node.js", mode }, env = { "NODE_PATH=/usr/share/nodejs" } }
  end,
  ["bare sends"] = function() return { argv = { BUILD .. "limit_broadcast" } } end,
}

local function open_both(name, mode, connections, size)
  local child = start.server(name, servers[name](mode))
  local port = child:expect "^listening (%d+)$"
  child:wait_idle()
  local before = child:memory()
  local load = start.load(name, { BUILD .. "load_ws", port, tostring(connections), tostring(size), mode })
  load:expect "^connected %d+$"
  return child, load, before
end

local function echo(name, needs, size, operations)
  return start.contender(name, needs, function()
    local child, load = open_both(name, "echo", 64, size)
    start.run_load(load, child, operations / 4)
    return start.cpu_per_operation("echo", child, load, operations)
  end)
end

local function needs_descriptors(it)
  if not it.missing and system.descriptors < MANY + 100 then
    it.missing = "only " .. system.descriptors .. " descriptors are allowed here"
  end
  return it
end

-- A figure for each socket: the cost of a broadcast by the number of those that get it.
local function broadcast(name, needs)
  return needs_descriptors(start.contender(name, needs, function()
    local child, load = open_both(name, "all", MANY, 64)
    start.run_load(load, child, WARM_UP)
    return start.cpu_per_operation("sent", child, load, 20, 1e6 / MANY)
  end))
end

local function slice_memory(name)
  local child, load, before = open_both(name, "echo", MANY, 64)
  child:wait_idle()
  start.run_load(load, child, MANY)
  child:wait_idle()
  local after = child:memory()
  load:stop()
  child:stop()
  return { idle = { cost = (after - before) / MANY } }
end

local function memory(name, needs)
  return needs_descriptors(start.contender(name, needs, function()
    return { slice = function() return slice_memory(name) end, stop = function() end }
  end))
end

---The cases in the order they run.
---@return table[]
return function()
  return {
    {
      name = "websocket", title = "WebSocket echo: 64 connections, 64-byte messages, server CPU per echo",
      unit = "µs CPU", format = "%.2f", slices = 4, metrics = { "echo" },
      contenders = { echo("moonpark", "moonpark", 64, 60000), echo("Node ws", "node-ws", 64, 40000) },
      goals = { { beside = { "Node ws" }, at_most = 0.45 } },
    },
    {
      name = "websocket-large", title = "WebSocket echo: 64 connections, 65,535 bytes, server CPU per echo",
      unit = "µs CPU", format = "%.1f", slices = 2, metrics = { "echo" },
      contenders = { echo("moonpark", "moonpark", 65535, 8000), echo("Node ws", "node-ws", 65535, 4000) },
      goals = { { beside = { "Node ws" }, at_most = 0.5 } },
    },
    {
      name = "websocket-all", title = "a WebSocket message to 10,000 sockets, 64 bytes, server CPU for each of them",
      unit = "µs CPU", format = "%.2f", slices = 1, metrics = { "sent" },
      contenders = { broadcast("moonpark", "moonpark"), broadcast("bare sends", "cc"),
        broadcast("Node ws", "node-ws") },
      goals = { { beside = { "bare sends" }, at_most = 1.3 } },
      note = "The bare sends are one send call for each socket, with a frame that was made before.",
    },
    {
      name = "websocket-memory", title = "memory of an idle WebSocket after one echo, at 10,000: growth of the "
        .. "server's private anonymous memory",
      unit = "bytes", format = "%.0f", slices = 1, metrics = { "idle" },
      contenders = { memory("moonpark", "moonpark"), memory("Node ws", "node-ws") },
      goals = { { at_most = 1600 } },
    },
  }
end
