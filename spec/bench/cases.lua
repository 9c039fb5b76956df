-- SPDX-License-Identifier: MIT
-- What is measured: the cases, their contenders, and how one slice of each is taken.
--
-- A contender has `open()`, which starts its processes and warms them up, and returns an object with `slice()` → the
-- figures of one slice by metric, each { cost =, rate = }, and `stop()`. One that can't run here says why in
-- `missing`. Costs are in the case's unit, per operation; a contender that fails raises.

local process = require "process"
local system = require "system"

local start = require "start"

local BUILD, GO = start.BUILD, start.GO
local CONNECTIONS, MESSAGE = 64, 64
local ECHO_WARM_UP, ECHO_OPERATIONS = 40000, 60000
local KV_WARM_UP, KV_OPERATIONS, KV_KEYS, PIPELINE = 100000, 400000, 1000000, 16
local IDLE_CONNECTIONS = 10000

local server, load_of, contender = start.server, start.load, start.contender
local luajit_script, run_load, micro = start.luajit_script, start.run_load, start.micro

-- Servers of the echo --------------------------------------------------------------------------------------------

local servers = {
  moonpark = function() return luajit_script "echo_moonpark.lua" end,
  ["C loop"] = function() return { argv = { BUILD .. "limit_echo" } } end,
  ["Go net"] = function() return { argv = { BUILD .. "echo_go" }, env = GO } end,
  ["Go net, least buffer"] = function()
    return { argv = { BUILD .. "echo_go", "-buffer", tostring(MESSAGE) }, env = GO }
  end,
  luv = function() return luajit_script "echo_luv.lua" end,
  ["luv, try_write"] = function() return luajit_script("echo_luv.lua", "0", "try") end,
}

local function start_echo(name)
  local child = server(name, servers[name]())
  return child, child:expect "^listening (%d+)$"
end

local function start_load(name, port, connections)
  local load = load_of(name, { BUILD .. "load_echo", port, tostring(connections), tostring(MESSAGE) })
  load:expect "^connected %d+$"
  return load
end

-- Echo: CPU time of the server between the first message of a slice and the last ---------------------------------

local function open_echo(name)
  local child, port = start_echo(name)
  local load = start_load(name, port, CONNECTIONS)
  run_load(load, child, ECHO_WARM_UP)
  return start.cpu_per_operation("echo", child, load, ECHO_OPERATIONS)
end

local function echo_contender(name, needs)
  return contender(name, needs, function() return open_echo(name) end)
end

-- Memory: growth of the server from its start to many connections parked in read ----------------------------------

local function slice_memory(name)
  local child, port = start_echo(name)
  child:wait_idle()
  local before = child:memory()
  local load = start_load(name, port, IDLE_CONNECTIONS)
  child:wait_idle()
  local parked = child:memory()
  run_load(load, child, IDLE_CONNECTIONS)
  child:wait_idle()
  local again = child:memory()
  load:stop()
  child:stop()
  return { ["never spoken to"] = { cost = (parked - before) / IDLE_CONNECTIONS },
    ["after one echo each"] = { cost = (again - before) / IDLE_CONNECTIONS } }
end

local function memory_contender(name, needs)
  local it = contender(name, needs, function()
    return { slice = function() return slice_memory(name) end, stop = function() end }
  end)
  if not it.missing and system.descriptors < IDLE_CONNECTIONS + 100 then
    it.missing = "only " .. system.descriptors .. " descriptors are allowed here"
  end
  return it
end

-- kv: CPU time of a Redis server under redis-benchmark -------------------------------------------------------------

local kv_servers = {
  moonpark = function(port) return { argv = { system.luajit, "examples/kv.lua", "127.0.0.1:" .. port } } end,
  ["redis-server"] = function(port)
    return { argv = { "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
      "--dir", BUILD } }
  end,
}
local COMMANDS = { "SET", "GET", "INCR" }

-- keys: how many there are; one where that is nil
local function redis_benchmark(name, port, command, operations, keys)
  local argv = { "redis-benchmark", "-h", "127.0.0.1", "-p", port, "-P", tostring(PIPELINE), "-n",
    tostring(operations), "-t", command:lower(), "--csv" }
  if keys then
    table.insert(argv, "-r")
    table.insert(argv, tostring(keys))
  end
  local load = load_of(name, argv)
  local output = load:finish()
  load:stop()
  local rate = output:match('"' .. command .. '","([%d.]+)"')
  return tonumber(rate) or error("redis-benchmark on " .. name .. " printed no rate; it wrote:\n" .. output, 0)
end

local function slice_kv(name, child, port, keys)
  local figures = {}
  for _, command in ipairs(COMMANDS) do
    local before = child:cpu()
    local rate = redis_benchmark(name, port, command, KV_OPERATIONS, keys)
    figures[command] = { cost = (child:cpu() - before) / KV_OPERATIONS * 1e6, rate = rate }
  end
  return figures
end

local function open_kv(name, keys)
  local port = tostring(process.free_port())
  local options = kv_servers[name](port)
  options.quiet = true
  local child = server("kv " .. name, options)
  child:wait_port(tonumber(port))
  for _, command in ipairs(COMMANDS) do redis_benchmark(name, port, command, KV_WARM_UP, keys) end
  return { slice = function() return slice_kv(name, child, port, keys) end, stop = function() child:stop() end }
end

local function kv_contender(name, keys, label)
  local it = contender(label or name, name, function() return open_kv(name, keys) end)
  it.missing = it.missing or system.missing["redis-benchmark"]
    or name == "moonpark" and system.missing["examples/kv.lua"] or nil
  return it
end

-- Bytes on Lua's heap ----------------------------------------------------------------------------------------------

local function slice_allocations()
  local child = server("allocations", luajit_script "allocs_moonpark.lua")
  local output, figures = child:finish(), {}
  child:stop()
  for name, bytes in output:gmatch "([%a_]+) ([%d.]+)\n" do
    figures["a " .. name:gsub("_", " ")] = { cost = tonumber(bytes) }
  end
  return figures
end

---The cases in the order they run; to be asked for when the system has been looked at and everything built.
---@return table[]
return function()
  return {
    {
      name = "echo", title = "echo: 64 connections, 64-byte messages, server CPU per echo",
      unit = "µs CPU", format = "%.2f", slices = 4, metrics = { "echo" },
      contenders = { echo_contender("moonpark", "moonpark"), echo_contender("C loop", "cc"),
        echo_contender("Go net", "go"), echo_contender("luv", "luv"), echo_contender("luv, try_write", "luv") },
      goals = { { beside = { "C loop" }, at_most = 1.06 }, { beside = { "Go net", "luv" }, at_most = 0.85 } },
      note = "The goal beside Go and luv is about the better of the two as people write them. luv's try_write, which "
        .. "answers\nwithout a write request, stands here for completeness.",
    },
    {
      name = "kv", title = "kv under redis-benchmark -P 16, METRIC: server CPU per command",
      unit = "µs CPU", format = "%.3f", slices = 2, metrics = COMMANDS,
      contenders = { kv_contender "moonpark", kv_contender "redis-server" },
    },
    {
      name = "kv-random", title = "kv under redis-benchmark -P 16 -r 1000000, METRIC: server CPU per command",
      unit = "µs CPU", format = "%.3f", slices = 2, metrics = COMMANDS,
      contenders = { kv_contender("moonpark", KV_KEYS), kv_contender("moonpark", nil, "moonpark, one key"),
        kv_contender("redis-server", KV_KEYS) },
      goals = { { beside = { "moonpark, one key" }, at_most = 1.2 }, { beside = { "redis-server" }, at_most = 0.8 } },
    },
    micro("deadline", "moving a read deadline 1 ns later, a write deadline standing, 32,768 timers planted first", 0.5),
    micro("spawn", "spawn and join", 1),
    micro("channel", "channel round trip between two tasks", 1),
    micro("yield", "yield, two tasks in turn", 1),
    {
      name = "memory", title = "memory of a connection parked in read, METRIC, at 10,000: growth of the server's "
        .. "private anonymous memory",
      unit = "bytes", format = "%.0f", slices = 1, metrics = { "never spoken to", "after one echo each" },
      contenders = { memory_contender("moonpark", "moonpark"), memory_contender("Go net", "go"),
        memory_contender("Go net, least buffer", "go"), memory_contender("luv", "luv") },
      goals = { { at_most = 1600 } },
      note = "Counted from the process's first breath, so what it sets up once is in it. Go net has a read buffer of "
        .. "4,096 bytes for\neach connection, or with the least buffer one message's 64.",
    },
    {
      name = "allocations", title = "what METRIC allocates on Lua's heap, 64-byte messages",
      unit = "bytes", format = "%.1f", slices = 1, metrics = { "a read", "a parked read", "a write" },
      contenders = { contender("moonpark", "moonpark", function()
        return { slice = slice_allocations, stop = function() end }
      end) },
    },
  }
end
