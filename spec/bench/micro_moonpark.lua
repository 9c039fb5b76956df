-- SPDX-License-Identifier: MIT
-- What single operations cost in moonpark, each the twin of one in micro.go.
--
-- usage: luajit micro_moonpark.lua CASE [PASSES [PORT]]; after an unmeasured pass prints "NANOSECONDS_CPU NANOSECONDS"
-- of each pass, for one operation, CPU time of the whole process first. The cases: deadline, spawn, channel,
-- yield; dial, with the port of a listener that keeps connections open; lookup, with that of a DNS server.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local GARBAGE_TIMERS = 32768
local HOUR = 3600
local USAGE = "usage: micro_moonpark.lua deadline|spawn|channel|yield|dial|lookup [PASSES [PORT]]"

local function connect()
  local listener = assert(net.listen("127.0.0.1:0"))
  return assert(net.dial(listener:address()))
end

local function plant_timers()
  for _ = 1, GARBAGE_TIMERS do moonpark.go(moonpark.sleep, HOUR) end
  moonpark.yield() -- each of them has run up to its sleep when we are back
end

-- A read deadline moves one nanosecond later each time while a write deadline stands.
local function deadline()
  plant_timers()
  local conn = connect()
  conn:set_write_deadline(moonpark.now() + 2 * HOUR)
  local when = moonpark.now() + HOUR
  return function(count)
    for _ = 1, count do
      conn:set_read_deadline(when)
      when = when + 1e-9
    end
  end
end

local function nothing() end

-- A task starts, ends, and is waited for.
local function spawn()
  return function(count)
    for _ = 1, count do moonpark.go(nothing):join() end
  end
end

-- A value goes to another task over one unbuffered channel and comes back over a second one.
local function channel()
  local ping, pong = moonpark.chan(), moonpark.chan()
  moonpark.go(function()
    while true do pong:send((ping:recv())) end
  end)
  return function(count)
    for i = 1, count do
      ping:send(i)
      pong:recv()
    end
  end
end

local function yield_times(count)
  for _ = 1, count do moonpark.yield() end
end

-- Two tasks give way to each other in turn; one operation is one of them giving way.
local function yield()
  return function(count)
    local other = moonpark.go(yield_times, count / 2)
    yield_times(count / 2)
    other:join()
  end
end

local closing = function() end

-- Connections to a listener that stays silent, one after another; they are closed in between the passes.
local function dial(port)
  local address = "127.0.0.1:" .. port
  local open = {}
  closing = function()
    for _, conn in ipairs(open) do
      conn:setoption("linger", 0)
      conn:close()
    end
    open = {}
  end
  return function(count)
    for _ = 1, count do open[#open + 1] = assert(net.dial(address)) end
  end
end

local function look_up(i)
  local found = assert(net.resolve(("host%d.bench."):format(i)))
  assert(found[1] == "127.0.0.1")
end

-- Many names at once, each looked up for A and AAAA.
local function lookup(port)
  net.set_resolver { servers = { "127.0.0.1:" .. port } }
  return function(count)
    moonpark.scope(function(scope)
      for i = 1, count do scope:go(look_up, i) end
    end)
  end
end

local cases = {
  deadline = { prepare = deadline, count = 4000000 },
  spawn = { prepare = spawn, count = 2000000 },
  channel = { prepare = channel, count = 2000000 },
  yield = { prepare = yield, count = 4000000 },
  dial = { prepare = dial, count = 10000 },
  lookup = { prepare = lookup, count = 1000 },
}

local function measure(run, count)
  local cpu, wall = os.clock(), moonpark.now()
  run(count)
  local spent, elapsed = os.clock() - cpu, moonpark.now() - wall
  print(("%.2f %.2f"):format(spent / count * 1e9, elapsed / count * 1e9))
  closing()
end

moonpark.run(function(name, passes, port)
  local case = assert(cases[name], USAGE)
  local run = case.prepare(port)
  run(case.count / 4)
  closing()
  for _ = 1, tonumber(passes or 1) do measure(run, case.count) end
  io.stdout:flush()
  os.exit(0) -- the sleepers and the channel's other end are still parked
end, arg[1], arg[2], arg[3])
