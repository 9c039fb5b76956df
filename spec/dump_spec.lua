-- SPDX-License-Identifier: MIT
-- The dump and the deadlock report: who is parked where, on what, since when, and who started it.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"
local net = require "moonpark.net"

local function settle()
  for _ = 1, 5 do moonpark.yield() end
end

-- The dump's part about the task of that name.
local function entry(name)
  for part in (moonpark.dump() .. "\n"):gmatch("(task %d+.-)\n\n") do
    if part:find('"' .. name .. '"', 1, true) then return part end
  end
  error("no task named " .. name .. " in the dump:\n" .. moonpark.dump())
end

local function started(name, fn)
  local task = moonpark.go(fn)
  task:name(name)
  settle()
  return task
end

describe("dump", function()
  it("counts the tasks and shows the one that runs", function()
    local text = moonpark.dump()
    assert.matches("^moonpark: 1 task\n", text)
    assert.matches("running\n.*dump_spec.lua:%d+", text)
  end)

  it("says what a task waits for, since when, its deadline and both tracebacks", function()
    local function sleeper() moonpark.sleep(1000) end
    local task = started("sleeper", function() sleeper() end)
    local text = entry("sleeper")
    assert.matches("parked in sleep, [%d.e-]+ s, deadline in 16 min %d+ s\n", text)
    assert.matches("dump_spec.lua:%d+: in function 'sleeper'", text)
    assert.matches("started by task %d+ at\n +[^\n]*dump_spec.lua:%d+", text)
    task:cancel()
  end)

  it("names the connection and the addresses of a read and an accept", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local accepting = started("accepting", function() return listener:accept() end)
    assert.matches("parked in accept on tcp listener 127.0.0.1:%d+", entry("accepting"))
    local client = assert(net.dial(listener:address()))
    local _, server = accepting:join()
    local reading = started("reading", function() server:read_line() end)
    assert.matches("parked in read_line on tcp 127.0.0.1:%d+ to 127.0.0.1:%d+", entry("reading"))
    client:close()
    reading:join()
    server:close()
    listener:close()
  end)

  it("tells the deadline that stands on a connection", function()
    local a, b = net.pipe()
    b:set_read_deadline(moonpark.now() + 1000)
    local reading = started("reading", function() b:read() end)
    assert.matches("parked in read on pipe[^\n]*, deadline in 16 min %d+ s", entry("reading"))
    b:set_read_deadline(nil)
    assert.not_matches("deadline", entry("reading"))
    a:close()
    reading:join()
    b:close()
  end)

  it("shows a generator that waits as well as the task that resumed it", function()
    local function inner() moonpark.sleep(1000) end
    local task = started("generating", function() coroutine.wrap(function() inner() end)() end)
    local text = entry("generating")
    assert.matches("in function 'inner'", text)
    assert.matches("a generator, resumed by", text)
    task:cancel()
  end)

  it("names the holder of a mutex, the task that is joined, and a cancel's reason", function()
    local mutex, gate = moonpark.mutex(), moonpark.event()
    local holder = started("holder", function()
      mutex:lock()
      moonpark.shield(function() gate:wait() end)
      mutex:unlock()
    end)
    local locker = started("locker", function() mutex:lock() mutex:unlock() end)
    local joiner = started("joiner", function() locker:join() end)
    assert.matches("parked in lock on mutex held by task " .. holder:id(), entry("locker"))
    assert.matches("parked in join on task " .. locker:id(), entry("joiner"))
    holder:cancel("no longer wanted")
    assert.matches("canceled %(no longer wanted%)", entry("holder"))
    gate:set()
    joiner:join()
  end)

  it("says of a mutex that its holder has ended", function()
    local mutex = moonpark.mutex()
    local holder = moonpark.go(function() mutex:lock() end)
    local locker = started("locker", function() mutex:lock() end)
    holder:join()
    assert.matches(("on mutex held by task %d, which has ended, "):format(holder:id()), entry("locker"))
    locker:cancel()
  end)

  it("counts hours and days, and leaves out a deadline that is none", function()
    local function deadline_of(seconds)
      local task = started("sleeper", function() moonpark.sleep(seconds) end)
      local text = entry("sleeper"):match "[^\n]*"
      task:cancel()
      task:join()
      return text:match "deadline in (.*)$"
    end
    assert.equal("1 h 59 min", deadline_of(2 * 3600 - 1))
    assert.equal("2 d 3 h", deadline_of(51.5 * 3600))
    assert.is_nil(deadline_of(1e12))
    assert.is_nil(deadline_of(math.huge))
  end)

  it("says how long ago a deadline was that a busy task keeps from coming true", function()
    local clock = testing.clock()
    local task = started("sleeper", function() moonpark.sleep(1) end)
    core.clock_advance(3)
    assert.matches("parked in sleep, 3 s, deadline 2 s ago\n", entry("sleeper"))
    clock:resume()
    task:join()
  end)

  it("rounds times to a millisecond", function()
    local task = started("sleeper", function() moonpark.sleep(1000) end)
    assert.not_matches("%de%-", entry("sleeper"))
    task:cancel()
  end)

  it("names a task that is joined, and counts the cases of a select", function()
    local sleeper = started("sleeper", function() moonpark.sleep(1000) end)
    local joiner = started("joiner", function() sleeper:join() end)
    assert.matches("parked in join on task " .. sleeper:id() .. ' "sleeper", ', entry("joiner"))
    local selector = started("selector", function() moonpark.select { { moonpark.chan() } } end)
    assert.matches("parked in select on 1 case, ", entry("selector"))
    for _, task in ipairs { sleeper, joiner, selector } do task:cancel() end
  end)

  it("says of a task that waits for an object of a pool how many of them there are", function()
    local pool = moonpark.pool_of { open = function() return { close = function() end } end, max = 1 }
    local gate = moonpark.event()
    local user = started("user", function() pool:with(function() gate:wait() end) end)
    local other = started("other", function() pool:with(function() end) end)
    assert.matches("parked in with on pool %(1 of 1 open, 1 waiting%), ", entry("other"))
    gate:set()
    user:join()
    other:join()
    pool:close()
  end)

  it("says nothing after the name of what has no address", function()
    local a, b = net.pipe()
    local reading = started("reading", function() b:read() end)
    assert.matches("parked in read on pipe, ", entry("reading"))
    a:close()
    reading:join()
    b:close()
  end)

  it("lists tasks in the order in which they were started", function()
    local first = moonpark.go(function() moonpark.sleep(1000) end)
    local ended = moonpark.go(function() end)
    local third = moonpark.go(function() moonpark.sleep(1000) end)
    ended:join()
    local fourth = moonpark.go(function() moonpark.sleep(1000) end) -- in the place of the one that has ended
    settle()
    local ids = {}
    for id in moonpark.dump():gmatch "\ntask (%d+)" do ids[#ids + 1] = tonumber(id) end
    assert.same({ ids[1], first:id(), third:id(), fourth:id() }, ids)
    for _, task in ipairs { first, third, fourth } do task:cancel() end
  end)
end)
