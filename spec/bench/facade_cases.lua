-- SPDX-License-Identifier: MIT
-- The cases of façades: their calls beside the native ones, and a client library beside the same one on LuaSocket. What
-- a case is: see cases.lua.

local process = require "process"
local start = require "start"
local system = require "system"

-- The process's own figures, as a slice.
local function slice_of(name, kind, port)
  local child = start.server(name, start.luajit_script("facade_moonpark.lua", kind, port))
  local output, figures = child:finish(), {}
  child:stop()
  for call, cost in output:gmatch "(%a+) ([%d.]+)\n" do figures[call] = { cost = tonumber(cost) } end
  if not next(figures) then error(name .. " printed no figures; it wrote:\n" .. output, 0) end
  return figures
end

local function facade(name, kind)
  return start.contender(name, "moonpark", function()
    local options = start.luajit_script "facade_peer.lua"
    local peer = start.load("façades", options.argv)
    local port = peer:expect "^listening (%d+)$"
    return {
      slice = function() return slice_of(name, kind, port) end,
      stop = function() peer:stop() end,
    }
  end)
end

local function redis(name, kind, needs)
  local it = start.contender(name, needs, function()
    local port = tostring(process.free_port())
    local server = process.start { name = "redis-server", core = system.load_core, quiet = true,
      log = start.BUILD .. "facade-redis.log",
      argv = { "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no" } }
    server:wait_port(tonumber(port))
    return {
      slice = function() return slice_of(name, kind, port) end,
      stop = function() server:stop() end,
    }
  end)
  it.missing = it.missing or system.missing["redis-server"] or system.missing["redis-lua"]
  return it
end

---@return table[] in the order they run
return function()
  return {
    {
      name = "facade-socket", title = "façade of LuaSocket, METRIC: CPU per call", unit = "ns CPU", format = "%.1f",
      slices = 1, metrics = { "line", "exactly" },
      contenders = { facade("moonpark", "socket"), facade("moonpark.net", "native") },
      goals = { { beside = { "moonpark.net" }, at_most = 1.2 } },
      note = "Lines of 80 bytes that are there already; the peer has the other core.",
    },
    {
      name = "facade-ngx", title = "façade of ngx, METRIC: CPU per call", unit = "ns CPU", format = "%.1f",
      slices = 1, metrics = { "line", "exactly", "until", "nested" },
      contenders = { facade("moonpark", "ngx"), facade("moonpark.net", "native") },
      goals = { { beside = { "moonpark.net" }, at_most = 1.2 } },
      note = "The same; nested is a write of a table of four pieces.",
    },
    {
      name = "facade-redis", title = "redis-lua, METRIC: CPU per command", unit = "ns CPU",
      format = "%.0f", slices = 1, metrics = { "get" },
      contenders = { redis("moonpark", "redis", "moonpark"), redis("LuaSocket", "original", "lua-socket") },
      goals = { { beside = { "LuaSocket" }, at_most = 1.0 } },
    },
  }
end
