-- SPDX-License-Identifier: MIT
-- Values that one task of all processes computes while the others wait: in one process, and between several.

local moonpark = require "moonpark"
local random = require "support.random"
local shared = require "support.coordination"
local testing = require "moonpark.testing"

local settle = shared.settle

-- A result of task:join() for each function, all started before any has ended.
local function all(...)
  local tasks = {}
  for i, fn in ipairs { ... } do
    tasks[i] = moonpark.go(fn)
    settle()
  end
  for i, task in ipairs(tasks) do tasks[i] = { task:join() } end
  return tasks
end

local function raised(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return err
end

local function never() error("computed again", 0) end

for where, start in pairs(shared.worlds) do
  describe("a value computed once, " .. where .. ",", function()
    local w

    before_each(function() w = start(3) end)
    after_each(function() w.close() end)

    it("is computed by the first that asks, while the others wait", function()
      local calls, go = 0, moonpark.event()
      local function fill()
        calls = calls + 1
        go:wait()
        return "filled"
      end
      local results = all(
        function() return w[1].once("x", fill) end,
        function() return w[2].once("x", fill) end,
        function() return w[3].once("x", fill) end,
        function() return w[3].once("y", function() return "another" end) end,
        function() go:set() end)
      local filled = { true, "filled" }
      assert.same({ filled, filled, filled, { true, "another" }, { true } }, results)
      assert.equal(1, calls)
      assert.equal("filled", w[2].once("x", never))
    end)

    it("is the same for all: strings with any bytes, numbers to the last bit, booleans, what JSON carries", function()
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local list = { table.concat(bytes), "", 0.1 + 0.2, -0, 2 ^ 53, math.huge, true, false,
        { 1, "two", { three = { 3 } } }, {} }
      for i, value in ipairs(list) do
        local name = "value " .. i
        assert.same(value, w[1].once(name, function() return value end))
        assert.same(value, w[2].once(name, never))
      end
      local nan = w[1].once("nan", function() return 0 / 0 end)
      assert.is_true(nan ~= nan)
    end)

    it("is a table of its own for each caller, the one that computed it too", function()
      local mine = { list = { 1 } }
      local first = w[1].once("x", function() return mine end)
      first.list[1] = "changed"
      mine.list[1] = "changed"
      assert.same({ list = { 1 } }, w[2].once("x", never))
    end)

    it("is computed by the next one that waits if fn raises; its caller gets the error", function()
      local ready = moonpark.event()
      local results = all(
        function()
          return w[1].once("x", function()
            ready:wait()
            error("no database", 0)
          end)
        end,
        function() return w[2].once("x", function() return "second" end) end,
        function() return w[3].once("x", never) end,
        function() ready:set() end)
      assert.same({ nil, "no database" }, { results[1][1], results[1][2] })
      assert.same({ { true, "second" }, { true, "second" } }, { results[2], results[3] })
    end)

    it("is computed by the next one if fn returns nil, err", function()
      assert.same({ nil, "connection refused" }, { w[1].once("x", function() return nil, "connection refused" end) })
      assert.equal(1, w[2].once("x", function() return 1 end))
    end)

    it("is computed by the next one if the first is cancelled in fn, or dies in it", function()
      local first = moonpark.go(function() return w[1].once("x", function() return moonpark.sleep(1000) end) end)
      settle()
      local second = moonpark.go(function() return w[2].once("x", function() return "second" end) end)
      settle()
      first:cancel()
      assert.same({ true, nil, "canceled" }, { first:join() })
      assert.same({ true, "second" }, { second:join() })
    end)

    it("is kept if it was computed though its task was cancelled meanwhile", function()
      local task = moonpark.go(function()
        return w[1].once("x", function()
          moonpark.sleep(1000)
          return "all the same"
        end)
      end)
      settle()
      task:cancel()
      assert.same({ true, "all the same" }, { task:join() })
      settle()
      assert.equal("all the same", w[2].once("x", never))
    end)

    it("is not waited for by a task that is cancelled or has no more time", function()
      testing.clock()
      local go = moonpark.event()
      local first = moonpark.go(function() return w[1].once("x", function() return (go:wait()) end) end)
      settle()
      local canceled = moonpark.go(function() return w[2].once("x", never) end)
      settle()
      canceled:cancel()
      assert.same({ true, nil, "canceled" }, { canceled:join() })
      assert.same({ nil, "timeout" }, { moonpark.timeout(3, w[3].once, "x", never) })
      go:set()
      assert.same({ true, true }, { first:join() })
    end)

    it("expires after its ttl", function()
      local clock = testing.clock()
      local count = 0
      local function fill()
        count = count + 1
        return count
      end
      assert.equal(1, w[1].once("x", fill, { ttl = 10 }))
      clock:advance(9.99)
      assert.equal(1, w[2].once("x", fill, { ttl = 10 }))
      clock:advance(0.01)
      assert.equal(2, w[3].once("x", fill, { ttl = 0.5 }))
      clock:advance(0.5)
      assert.equal(3, w[1].once("x", fill))
      clock:advance(10 * 365 * 86400)
      assert.equal(3, w[1].once("x", fill))
    end)

    it("is computed anew after it has been forgotten, also while it is being computed", function()
      assert.equal(1, w[1].once("x", function() return 1 end))
      assert.is_true(w[2].forget "x")
      local go = moonpark.event()
      local results = all(
        function()
          return w[1].once("x", function()
            go:wait()
            return "old"
          end)
        end,
        function() return w[2].once("x", never) end,
        function() return w[3].forget "x" end,
        function() return w[3].once("x", function() return "new" end) end,
        function() go:set() end)
      assert.same({ { true, "old", "not kept" }, { true, "old" }, { true, true }, { true, "new" }, { true } }, results)
      assert.equal("new", w[1].once("x", never))
      assert.is_true(w[1].forget "never there")
    end)

    it("raises if fn's value cannot be shared, and the next one computes", function()
      assert.matches("once_spec.lua:%d+: once: a function cannot be shared",
        raised(function() w[1].once("x", function() return print end) end))
      assert.matches("once: a thread cannot be shared",
        raised(function() w[1].once("x", function() return coroutine.create(print) end) end))
      assert.matches("once: a table that JSON cannot carry: .*userdata",
        raised(function() w[1].once("x", function() return { io.stdout } end) end))
      assert.same({ nil, "too long" }, { w[1].once("x", function() return ("x"):rep(256 * 1024) end) })
      assert.equal(("x"):rep(256 * 1024 - 1), w[1].once("x", function() return ("x"):rep(256 * 1024 - 1) end))
    end)

    it("raises if fn asks for the same value, and for wrong arguments", function()
      assert.matches("once_spec.lua:%d+: 'x' is being computed by this task",
        raised(function()
          w[1].once("x", function()
            local value = w[1].once("x", never)
            return value
          end)
        end))
      assert.equal("y", w[1].once("x", function() return w[1].once("y", function() return "y" end) end))
      assert.matches("once_spec.lua:%d+: bad argument #2 to 'once' %(function expected", raised(function()
        w[1].once("x", 5)
      end))
      assert.matches("once_spec.lua:%d+: once: option 'ttl' must be a positive number", raised(function()
        w[1].once("x", never, { ttl = 0 })
      end))
      assert.matches("unknown option 'tll'; did you mean 'ttl'", raised(function()
        w[1].once("x", never, { tll = 1 })
      end))
      assert.matches("once_spec.lua:%d+: bad argument #1 to 'forget'", raised(function() w[1].forget() end))
    end)

    it(("is computed by one at a time, whatever fails and whoever is cancelled (RANDOM_SEED=%d)"):format(random.seed),
      function()
        testing.clock()
        local dice, computing, tasks, count = random.new(), {}, {}, { value = 0, error = 0, canceled = 0 }
        local function fill(name)
          return function()
            assert(not computing[name], "two at once")
            computing[name] = true
            local ok, err = moonpark.sleep(dice() * 2)
            computing[name] = nil
            if not ok then return nil, err end
            if dice(3) == 1 then error("unlucky", 0) end
            return name
          end
        end
        for i = 1, 200 do
          tasks[i] = moonpark.go(function()
            moonpark.sleep(dice(40))
            local name = "value " .. dice(3)
            local ok, value, err = pcall(w[dice(3)].once, name, fill(name), { ttl = dice(3) })
            assert(not ok and value == "unlucky" or value == name or value == nil and err == "canceled")
            local ended = not ok and "error" or value and "value" or "canceled"
            count[ended] = count[ended] + 1
          end)
        end
        for _ = 1, 60 do
          moonpark.sleep(0.7)
          tasks[dice(#tasks)]:cancel()
        end
        for _, task in ipairs(tasks) do assert(task:join()) end
        assert.is_true(count.value > 50 and count.error > 0 and count.canceled > 0)
        assert.same({}, computing)
      end)
  end)
end

describe("a value computed once", function()
  it("is computed by the next one when the worker that computes it dies", function()
    local w = shared.workers(3)
    local go = moonpark.event()
    local first = moonpark.go(function()
      return w[1].once("x", function()
        go:wait()
        return "late"
      end)
    end)
    settle()
    local second = moonpark.go(function() return w[2].once("x", function() return "second" end) end)
    settle()
    w[1].die()
    assert.same({ true, "second" }, { second:join() })
    go:set()
    assert.same({ true, "late", "not kept" }, { first:join() })
    assert.equal("second", w[3].once("x", never))
    assert.equal(0, w[1].outside + w[2].outside + w[3].outside)
    w.close()
  end)

  it("takes part in a deadlock's report", function()
    local ended = require("support.alive").run_script [[
      local moonpark = require "moonpark"
      local shared = moonpark.shared
      local function ask_for(name, other)
        return function()
          shared.once(name, function()
            moonpark.yield()
            return (shared.once(other, print))
          end)
        end
      end
      moonpark.run(function()
        moonpark.go(ask_for("a", "b"))
        moonpark.go(ask_for("b", "a"))
      end)
    ]]
    assert.matches('task 2 waits in once on shared value "b", computed by task 3', ended.err)
    assert.matches('task 3 waits in once on shared value "a", computed by task 2', ended.err)
    assert.equal(1, ended.status)
  end)
end)
