-- SPDX-License-Identifier: MIT
-- pool_of_spec.lua - pools of objects: bounded, fair, and nothing dirty comes back.

local moonpark = require "moonpark"
local support = require "support.net"

local closed, opened

local function object()
  opened = opened + 1
  return { number = opened, close = function(self) closed[#closed + 1] = self.number end }
end

local function pool_of(options)
  options.open = options.open or object
  return moonpark.pool_of(options)
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
      assert.same({ open = 2, idle = 1, waiting = 0 }, pool:stats())
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
    assert.same({ open = 1, idle = 0, waiting = 4 }, pool:stats())
    gate:set()
    for _, task in ipairs(tasks) do task:join() end
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.equal(1, opened)
  end)

  it("limits the wait", function()
    pool = pool_of { max = 1, timeout = 0.001 }
    pool:with(function()
      assert.same({ nil, "timeout" }, { pool:with(error) })
      assert.same({ nil, "timeout" }, { pool:with(error, 0) })
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
    pool = pool_of { max = 1, check = function() error "broken check" end }
    pool:with(function() end)
    assert.equal(4, pool:with(function(one) return one.number end))
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
  end)
end)
