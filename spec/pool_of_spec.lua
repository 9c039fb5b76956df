-- SPDX-License-Identifier: MIT
-- pool_of_spec.lua - pools of objects: bounded, fair, and nothing dirty comes back.

local failures = require "moonpark.failures"
local moonpark = require "moonpark"
local support = require "support.net"
local testing = require "moonpark.testing"

local closed, opened

local function object()
  opened = opened + 1
  return { number = opened, close = function(self) closed[#closed + 1] = self.number end }
end

local function pool_of(options)
  options.open = options.open or object
  return moonpark.pool_of(options)
end

-- What is logged while fn runs.
local function logged(fn)
  local lines, log = {}, failures.log
  failures.log = function(text) lines[#lines + 1] = text end
  local ok, err = pcall(fn)
  failures.log = log
  assert(ok, err)
  return lines
end

describe("moonpark.pool_of", function()
  local pool

  before_each(function() closed, opened = {}, 0 end)
  after_each(function() if pool then pool:close() end end)

  it("gives an object to one task at a time, and the one used last is used again", function()
    pool = pool_of { max = 2 }
    assert.same({ 1, "more" }, { pool:with(function(one) return one.number, "more" end) })
    pool:with(function(one)
      assert.equal(1, one.number)
      pool:with(function(other) assert.equal(2, other.number) end)
      assert.same({ open = 2, idle = 1, waiting = 0, max = 2 }, pool:stats())
    end)
    assert.equal(1, pool:with(function(one) return one.number end))
    assert.same({}, closed)
  end)

  it("lets tasks wait in their order where all are taken", function()
    pool = pool_of { max = 1 }
    local order, gate, tasks = {}, moonpark.event(), {}
    for i = 1, 5 do
      tasks[i] = moonpark.go(pool.with, pool, function()
        order[#order + 1] = i
        gate:wait()
      end)
      moonpark.yield()
    end
    assert.same({ open = 1, idle = 0, waiting = 4, max = 1 }, pool:stats())
    gate:set()
    for _, task in ipairs(tasks) do task:join() end
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.equal(1, opened)
  end)

  it("limits the wait", function()
    pool = pool_of { max = 1, timeout = 0.001 }
    pool:with(function()
      local function ask(timeout) return moonpark.go(pool.with, pool, error, timeout):join() end
      assert.same({ true, nil, "timeout" }, { ask() })
      assert.same({ true, nil, "timeout" }, { ask(0) })
      assert.same({ true, nil, "timeout" }, { ask(-1) })
      local waiter = moonpark.go(pool.with, pool, error, 1000)
      moonpark.yield()
      waiter:cancel()
      assert.same({ true, nil, "canceled" }, { waiter:join() })
      assert.equal(0, pool:stats().waiting)
    end)
  end)

  it("closes what a failed or cancelled user leaves, and raises the error as it is", function()
    pool = pool_of { max = 1 }
    local ok, err = pcall(pool.with, pool, function() error { code = 7 } end)
    assert.same({ false, 7 }, { ok, err.code })
    assert.same({ 1 }, closed)
    local user = moonpark.go(pool.with, pool, function() moonpark.sleep(1000) return "given up" end)
    moonpark.yield()
    user:cancel()
    user:join()
    assert.same({ 1, 2 }, closed)
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.001, function()
      return pool:with(function() return moonpark.sleep(1000) end)
    end) })
    assert.equal(0, pool:stats().open - pool:stats().idle)
  end)

  it("replaces what its check finds dead", function()
    local dead = {}
    pool = pool_of { max = 1, check = function(one) return not dead[one.number] end }
    pool:with(function() end)
    dead[1] = true
    assert.equal(2, pool:with(function(one) return one.number end))
    assert.same({ 1 }, closed)
    pool:close()
    local lines = logged(function()
      pool = pool_of { max = 1, check = function() error "broken check" end }
      pool:with(function() end)
      assert.equal(4, pool:with(function(one) return one.number end))
    end)
    assert.equal(1, #lines)
  end)

  it("closes idle ones while others take and give meanwhile", function()
    support.with_frozen_clock(function()
      local timed = pool_of { idle_timeout = 10, close = function(one)
        moonpark.sleep(5)
        closed[#closed + 1] = one.number
      end }
      local function use_three()
        timed:with(function() timed:with(function() timed:with(function() end) end) end)
      end
      use_three()
      moonpark.sleep(11) -- the first is being closed
      timed:with(function() timed:with(function() moonpark.sleep(10) end) end)
      moonpark.sleep(100)
      assert.same({ 3, 0 }, { #closed, timed:stats().open })
      use_three()
      moonpark.sleep(100)
      assert.same({ 6, 0 }, { #closed, timed:stats().open })
      timed:close()
    end)
  end)

  it("keeps the place of an object until it is closed", function()
    local alive, most, dead = 0, 0, false
    pool = pool_of { max = 1, check = function() return not dead end, open = function()
      alive = alive + 1
      most = math.max(most, alive)
      return {}
    end, close = function()
      moonpark.yield()
      alive = alive - 1
    end }
    pool:with(function() end)
    dead = true
    local tasks = {}
    for i = 1, 4 do tasks[i] = moonpark.go(function() pcall(pool.with, pool, i > 2 and error or moonpark.yield) end) end
    for _, task in ipairs(tasks) do task:join() end
    assert.equal(1, most)
  end)

  it("tells why there is no object, and the next that waits tries again", function()
    local fail = true
    pool = pool_of { max = 1, open = function()
      moonpark.sleep(0.001)
      if fail then return nil, "connection refused", 111 end
      return object()
    end }
    local first = moonpark.go(function() return pool:with(error) end)
    moonpark.yield()
    local second = moonpark.go(function() return pool:with(function(one) fail = true return one.number end) end)
    moonpark.yield()
    assert.same({ true, nil, "connection refused", 111 }, { first:join() })
    fail = false
    assert.same({ true, 1 }, { second:join() })
    pool:close()
    pool = pool_of { open = function() error("raised", 0) end }
    assert.same({ false, "raised" }, { pcall(pool.with, pool, error) })
    assert.equal(0, pool:stats().open)
  end)

  it("closes what is idle for too long, and what is too old", function()
    support.with_frozen_clock(function()
      local timed = pool_of { idle_timeout = 10, max_lifetime = 100 }
      timed:with(function() end)
      moonpark.sleep(9)
      timed:with(function(one) assert.equal(1, one.number) end)
      moonpark.sleep(11)
      assert.same({ { 1 }, 0 }, { closed, timed:stats().open })
      timed:with(function() moonpark.sleep(101) end)
      assert.same({ 1, 2 }, closed)
      timed:close()
    end)
  end)

  it("that is closed gives nothing, and takes nothing back", function()
    pool = pool_of { max = 1 }
    local gate = moonpark.event()
    local user = moonpark.go(pool.with, pool, function() gate:wait() end)
    local waiter = moonpark.go(function() return pool:with(error) end)
    moonpark.yield()
    pool:close()
    gate:set()
    assert.same({ true, nil, "closed" }, { waiter:join() })
    user:join()
    assert.same({ 1 }, closed)
    assert.same({ nil, "closed" }, { pool:with(error) })
  end)

  it("tells a task that has all objects that it would wait for itself", function()
    pool = pool_of { max = 2, timeout = 1000 }
    local line = debug.getinfo(1, "l").currentline
    local _, err = pcall(pool.with, pool, function() pool:with(function()
      pool:with(error)
    end) end)
    assert.matches(("^[^:]*pool_of_spec.lua:%d: pool:with: this task has all objects of the pool %%(max = 2%%), and "
      .. "would wait for itself$"):format(line + 2), err)
    assert.same({ 1, 2 }, { #closed > 0 and 1, #closed })
    pool:with(function()
      local one = pool:take()
      assert.error_matches(function() pool:take() end, "pool:take: this task has all objects")
      moonpark.go(function() assert.error_matches(function() pool:give {} end, "was not taken") end):join()
      pool:give(one)
    end)
  end)

  it("never has more than its maximum, whatever its users do", function()
    local random, open, most = require("support.random").new(4711), 0, 0
    pool = pool_of { max = 3, open = function()
      if random(10) == 1 then return nil, "no" end
      open = open + 1
      most = math.max(most, open)
      moonpark.yield()
      return {}
    end, close = function()
      moonpark.yield()
      open = open - 1
    end, check = function()
      moonpark.yield()
      return random(10) > 1
    end }
    local tasks = {}
    for i = 1, 300 do
      tasks[i] = moonpark.go(function()
        pcall(pool.with, pool, function()
          for _ = 1, random(3) do moonpark.yield() end
          if random(8) == 1 then error "user" end
        end)
      end)
      if random(5) == 1 then tasks[random(i)]:cancel() end
      if random(3) == 1 then moonpark.yield() end
    end
    for _, task in ipairs(tasks) do task:join() end
    local stats = pool:stats()
    assert.is_true(most <= 3)
    assert.same({ open, 0 }, { stats.open, stats.waiting })
    assert.equal(stats.open, stats.idle)
  end)

  it("is told what is wrong with its options", function()
    assert.error_matches(function() moonpark.pool_of {} end, "option 'open' is needed")
    assert.error_matches(function() moonpark.pool_of { open = print, idle_timout = 1 } end,
      "did you mean 'idle_timeout'")
    pool = pool_of {}
    assert.error_matches(function() pool:with(5) end, "bad argument #1 to 'with'")
    assert.error_matches(function() pool:with(error, "5") end, "number of seconds expected, got string")
    assert.error_matches(function() pool:take(0 / 0) end, "number of seconds expected, got NaN")
  end)
end)

describe("an object that take gives", function()
  local pool, lines, log

  before_each(function()
    closed, opened, lines, log = {}, 0, {}, failures.log
    failures.log = function(text) lines[#lines + 1] = text end
  end)
  after_each(function()
    failures.log = log
    pool:close()
  end)

  it("is the task's until it is given back", function()
    pool = pool_of { max = 1 }
    local one = pool:take()
    local waiter = moonpark.go(pool.with, pool, function(other) return other.number end)
    moonpark.yield()
    assert.equal(1, pool:stats().waiting)
    pool:give(one)
    assert.same({ true, 1 }, { waiter:join() })
    assert.equal(one, pool:take(0))
    pool:give(one, true)
    assert.same({ { 1 }, 0 }, { closed, pool:stats().open })
    assert.error_matches(function() pool:give(one) end, "was not taken from this pool by take, or was given back")
    assert.error_matches(function() pool:give(nil) end, "was not taken")
    pool:with(function(two) assert.error_matches(function() pool:give(two) end, "was not taken") end)
    assert.same({}, lines)
  end)

  it("is closed, and its leak reported, when its task ends without giving it back", function()
    pool = pool_of { max = 1 }
    local line = debug.getinfo(1, "l").currentline + 1
    local leaking = moonpark.go(function() assert(pool:take()) end)
    moonpark.yield()
    assert.equal(2, pool:with(function(two) return two.number end))
    assert.equal("done", leaking:status())
    assert.same({ 1 }, closed)
    assert.equal(1, #lines)
    assert.matches(("^pool: a task has ended without giving back the object that it took at .*pool_of_spec.lua:%d; it "
      .. "is closed$"):format(line), lines[1])
  end)

  it("is closed without a word when its task is cancelled or fails, whose error is still reported", function()
    pool = pool_of { max = 2 }
    local canceled = moonpark.go(function()
      pool:take()
      moonpark.sleep(1000)
    end)
    moonpark.go(function()
      pool:take()
      error "the user's"
    end)
    moonpark.yield()
    canceled:cancel()
    pool:with(function() pool:with(function() end) end)
    table.sort(closed)
    assert.same({ { 1, 2 }, {} }, { closed, lines })
    collectgarbage()
    moonpark.sleep(0.001)
    local uncaught = testing.uncaught()
    assert.equal(1, #uncaught)
    assert.matches("the user's", uncaught[1])
  end)

  it("is closed when it comes from a cancelled task", function()
    pool = pool_of { max = 1 }
    local user = moonpark.go(function()
      local one = pool:take()
      moonpark.sleep(1000)
      pool:give(one)
    end)
    moonpark.yield()
    user:cancel()
    user:join()
    assert.same({ { 1 }, 0 }, { closed, pool:stats().open })
  end)

  it("may be given back by another task, while its own goes on", function()
    pool = pool_of { max = 1 }
    local one = pool:take()
    moonpark.go(pool.give, pool, one):join()
    assert.equal(1, pool:stats().idle)
    for _ = 1, 3 do pool:give(pool:take()) end -- watched anew each time
    assert.same({ {}, {} }, { closed, lines })
  end)

  it("is closed once, though another task gives it back while those of an ended task are closed", function()
    pool = pool_of { max = 3, close = function(one)
      moonpark.yield()
      closed[#closed + 1] = one.number
    end }
    local objects = {}
    moonpark.go(function()
      for i = 1, 3 do objects[i] = pool:take() end
    end):join()
    for i = 1, 3 do pcall(pool.give, pool, objects[i]) end
    while pool:stats().open > pool:stats().idle do moonpark.yield() end
    local stats = pool:stats()
    assert.equal(3 - #closed, stats.open)
    table.sort(closed)
    for i = 2, #closed do assert.not_equal(closed[i - 1], closed[i]) end
    assert.same({}, testing.uncaught())
  end)

  it("is not handed out twice by an open that returns the same one", function()
    local same = {}
    pool = pool_of { open = function() return same end, close = function() closed[#closed + 1] = "same" end }
    pool:take()
    assert.error_matches(function() pool:take() end, "has returned an object that is in use already")
    assert.same({}, closed)
    pool:give(same)
    assert.equal(1, pool:stats().open)
  end)

  it("does not keep the program alive, nor the pool from being closed", function()
    local r = require("support.process").run(require("support.process").moonpark("-e", [[
      local moonpark = require "moonpark"
      local pool = moonpark.pool_of { open = function() return {} end, close = function() print "closed" end }
      moonpark.go(function() pool:take() moonpark.yield() print "ended" end)
      pool:take()
    ]]))
    assert.matches("ended\n", r.out)
    assert.equal(2, select(2, r.out:gsub("closed\n", "")))
    assert.equal(2, select(2, r.err:gsub("without giving back", "")))
    assert.equal(0, r.status)
  end)

  it("comes to a thousand tasks that are cancelled, raise, forget it, or give it back", function()
    local random, alive, most = require("support.random").new(1147), 0, 0
    pool = pool_of { max = 7, open = function()
      alive = alive + 1
      most = math.max(most, alive)
      if random(3) == 1 then moonpark.yield() end
      return {}
    end, close = function()
      if random(3) == 1 then moonpark.yield() end
      alive = alive - 1
    end }
    local tasks = {}
    for i = 1, 1000 do
      tasks[i] = moonpark.go(function()
        local one = pool:take(random(10) == 1 and 0 or nil)
        if not one then return end
        for _ = 1, random(3) do moonpark.yield() end
        local fate = random(6)
        if fate == 1 then error "the user's" end
        if fate > 2 then pool:give(one, fate == 3) end
      end)
      if random(4) == 1 then tasks[random(i)]:cancel() end
      if random(3) == 1 then moonpark.yield() end
    end
    for _, task in ipairs(tasks) do task:join() end
    while pool:stats().open > pool:stats().idle do moonpark.yield() end
    assert.is_true(most <= 7)
    assert.same({ alive, 0 }, { pool:stats().open, pool:stats().waiting })
    assert.is_nil(next(pool.taken))
    assert.is_nil(next(pool.held))
  end)
end)

describe("a pool whose functions misbehave", function()
  local pool

  before_each(function() closed, opened = {}, 0 end)
  after_each(function() pool:close() end)

  it("gives up an open that does not end, and keeps what it made in the last moment", function()
    pool = pool_of { max = 1, timeout = 0.001, open = function() return nil, select(2, moonpark.sleep(1000)) end }
    assert.same({ nil, "timeout" }, { pool:with(error) })
    assert.equal(0, pool:stats().open)
    pool = pool_of { max = 1, timeout = 0.001, open = function()
      assert(moonpark.sleep(1000))
    end }
    assert.same({ nil, "timeout" }, { pool:with(error) })
    pool = pool_of { max = 1, timeout = 0.001, open = function()
      moonpark.sleep(1000)
      return object()
    end }
    assert.equal(1, pool:with(function(one) return one.number end))
    assert.equal(1, pool:stats().idle)
  end)

  it("ends an open with its task", function()
    pool = pool_of { max = 1, open = function() return nil, select(2, moonpark.sleep(1000)) end }
    local user = moonpark.go(function() return pool:with(error) end)
    moonpark.yield()
    user:cancel()
    assert.same({ true, nil, "canceled" }, { user:join() })
    assert.equal(0, pool:stats().open)
  end)

  it("closes what its check does not end for", function()
    pool = pool_of { max = 1, timeout = 0.001, check = function() return moonpark.sleep(1000) end }
    pool:with(function() end)
    assert.equal(2, pool:with(function(two) return two.number end))
    assert.same({ 1 }, closed)
  end)

  it("gives up a close that does not end, and raises nothing of it", function()
    support.with_frozen_clock(function()
      pool = pool_of { max = 1, close_timeout = 3, close = function(one)
        closed[#closed + 1] = one.number
        moonpark.sleep(1000)
      end }
      local began = moonpark.now()
      local user = moonpark.go(pool.with, pool, function() moonpark.sleep(1000) end)
      moonpark.yield()
      user:cancel()
      assert.equal(2, pool:with(function(two) return two.number end))
      assert.is_true(moonpark.now() - began < 4)
      assert.same({ 1 }, closed)
      pool:close()
      assert.same({ 1, 2 }, closed)
    end)
  end)

  it("logs what check and close raise, and goes on", function()
    local lines = logged(function()
      pool = pool_of { max = 1, check = function() error("bad check", 0) end,
        close = function() error("bad close", 0) end }
      pool:with(function() end)
      assert.equal(2, pool:with(function(one) return one.number end))
      pool:close()
    end)
    assert.equal(3, #lines)
    assert.matches("^error in a pool's check: bad check", lines[1])
    assert.matches("^error in a pool's close: bad close", lines[2])
  end)

  it("is named where tasks wait for it", function()
    pool = pool_of { max = 1 }
    pool:with(function()
      local waiter = moonpark.go(pool.with, pool, function() end)
      moonpark.yield()
      assert.matches("parked in with on pool %(1 of 1 open, 1 waiting%)", moonpark.dump())
      waiter:cancel()
    end)
  end)

  it("does not close all that are of one age at one time", function()
    support.with_frozen_clock(function()
      pool = pool_of { max = 20, max_lifetime = 100, idle_timeout = 1000 }
      local began, ends = moonpark.now(), {}
      local objects = {}
      for i = 1, 20 do objects[i] = pool:take() end
      for i = 1, 20 do pool:give(objects[i]) end
      for _ = 1, 200 do
        moonpark.sleep(0.5)
        ends[#closed] = moonpark.now() - began
      end
      assert.equal(20, #closed)
      local moments, first = 0, math.huge
      for count, at in pairs(ends) do
        if count > 0 then moments, first = moments + 1, math.min(first, at) end
      end
      assert.is_true(moments > 10)
      assert.is_true(first > 89)
    end)
  end)

  it("closes what comes back once the program drains, but serves those that wait", function()
    pool = pool_of { max = 1 }
    local gate = moonpark.event()
    local user = moonpark.go(pool.with, pool, function() gate:wait() end)
    local waiter = moonpark.go(pool.with, pool, function(one) return one.number end)
    moonpark.yield()
    for _, entry in ipairs(require("moonpark.draining").list()) do
      if entry.object == pool then entry.drain(pool, 1) end
    end
    gate:set()
    user:join()
    assert.same({ true, 1 }, { waiter:join() })
    assert.same({ { 1 }, 0 }, { closed, pool:stats().open })
  end)
end)
