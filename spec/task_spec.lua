-- SPDX-License-Identifier: MIT
-- Tasks and structured concurrency: run, go, join, cancel, scope, timeout, shield, sleep, yield.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"

local function forever() return moonpark.sleep(1e6) end

-- Lets every ready task run until only parked ones are left besides the caller.
local function settle()
  for _ = 1, 10 do moonpark.yield() end
end

describe("go", function()
  it("runs the function as a task, with its arguments", function()
    local got
    moonpark.go(function(...) got = { select("#", ...), ... } end, 1, nil, "three", nil):join()
    assert.same({ 4, 1, nil, "three", nil }, got)
  end)

  it("does not run the task before the caller waits", function()
    local ran = false
    local task = moonpark.go(function() ran = true end)
    assert.is_false(ran)
    assert.equal("ready", task:status())
    task:join()
    assert.is_true(ran)
  end)

  it("takes hundreds of arguments", function()
    local many = {}
    for i = 1, 500 do many[i] = i end
    local ok, count = moonpark.go(function(...) return select("#", ...) end, unpack(many)):join()
    assert.is_true(ok)
    assert.equal(500, count)
  end)

  it("refuses what is no function", function()
    assert.error_matches(function() moonpark.go("x") end, "function expected")
    assert.error_matches(function() moonpark.go() end, "function expected")
  end)

  it("runs ready tasks in the order they became ready", function()
    local order = {}
    for i = 1, 5 do
      moonpark.go(function()
        order[#order + 1] = i
        moonpark.yield()
        order[#order + 1] = i + 10
      end)
    end
    settle()
    assert.same({ 1, 2, 3, 4, 5, 11, 12, 13, 14, 15 }, order)
  end)

  it("gives a coroutine to the next task without what the last one left in it", function()
    local globals
    moonpark.go(function() setfenv(0, { mine = true }) end):join()
    moonpark.go(function() globals = getfenv(0) end):join()
    assert.is_nil(globals.mine)
  end)

  it("leaves a handle as its task ended, whatever runs in its place since", function()
    local failed = moonpark.go(function() moonpark.yield() error "on purpose" end)
    local ended = moonpark.go(function() return "result" end)
    local id, site = ended:id(), ended:site()
    assert.same({ true, "result" }, { ended:join() })
    assert.is_nil((failed:join()))
    local later = {}
    for i = 1, 8 do later[i] = moonpark.go(forever) end
    moonpark.yield()
    assert.same({ "done", "failed", "parked" }, { ended:status(), failed:status(), later[1]:status() })
    ended:cancel()
    assert.same({ id, site, false }, { ended:id(), ended:site(), ended:is_canceled() })
    assert.same({ true, "result" }, { ended:join() })
    for _, task in ipairs(later) do
      assert.is_false(task:is_canceled())
      task:cancel()
      task:join()
      assert.is_true(task:is_canceled())
    end
  end)

  it("numbers tasks and tells the current one", function()
    local inside
    local task = moonpark.go(function() inside = moonpark.current() end)
    task:join()
    assert.equal(task, inside)
    assert.is_true(task:id() > moonpark.current():id())
  end)

  it("keeps a name", function()
    local task = moonpark.go(forever)
    assert.is_nil(task:name())
    assert.equal("worker", task:name("worker"))
    assert.equal("worker", task:name())
    assert.matches('^task %d+ "worker"$', tostring(task))
    task:cancel()
  end)
end)

describe("join", function()
  it("returns true and every result", function()
    local task = moonpark.go(function() return 1, nil, "x" end)
    assert.same({ true, 1, nil, "x" }, { task:join() })
  end)

  it("returns hundreds of results, parked or not", function()
    local many = {}
    for i = 1, 300 do many[i] = i end
    local task = moonpark.go(function() moonpark.yield() return unpack(many) end)
    assert.equal(301, select("#", task:join()))
    assert.equal(301, select("#", task:join()))
  end)

  it("returns at once, and again, for a task that has ended", function()
    local task = moonpark.go(function() return "done" end)
    settle()
    assert.equal("done", task:status())
    assert.same({ true, "done" }, { task:join() })
    assert.same({ true, "done" }, { task:join(0) })
  end)

  it("returns nil, the error and its traceback for a task that failed", function()
    local function broken() error("broken") end
    local task = moonpark.go(function() broken() end)
    local ok, err, trace = task:join()
    assert.is_nil(ok)
    assert.matches("task_spec.lua:%d+: broken$", err)
    assert.matches("stack traceback:.*task_spec.lua:%d+: in function 'broken'", trace)
    assert.equal("failed", task:status())
  end)

  it("hands an error object on as it is", function()
    local object = {}
    local ok, err = moonpark.go(function() error(object) end):join()
    assert.is_nil(ok)
    assert.equal(object, err)
  end)

  it("gives up after its timeout, and can be called again", function()
    local task = moonpark.go(forever)
    assert.same({ nil, "timeout" }, { task:join(0.001) })
    assert.same({ nil, "timeout" }, { task:join(0) })
    assert.same({ nil, "timeout" }, { task:join(-1) })
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
  end)

  it("serves any number of joiners", function()
    local task, got = moonpark.go(function() moonpark.yield() return "x" end), {}
    for i = 1, 5 do moonpark.go(function() got[i] = select(2, task:join()) end) end
    settle()
    assert.same({ "x", "x", "x", "x", "x" }, got)
  end)

  it("does not keep the ended task, as the loop's stack once did", function()
    local gone = setmetatable({}, { __mode = "v" })
    gone[1] = moonpark.go(function() return {} end)
    gone[2] = select(2, gone[1]:join())
    settle()
    collectgarbage()
    collectgarbage()
    assert.same({}, gone)
  end)

  it("does not keep a task whose error object knows it, as its traceback once did", function()
    local gone = setmetatable({}, { __mode = "v" })
    local task
    task = moonpark.go(function() moonpark.shield(function() error { task = task } end) end)
    gone[1] = task
    assert.is_nil((task:join()))
    task = nil -- luacheck: ignore
    settle()
    collectgarbage()
    collectgarbage()
    assert.same({}, gone)
  end)

  it("of oneself raises", function()
    assert.error_matches(function() moonpark.current():join() end, "cannot join itself")
  end)
end)

describe("cancel", function()
  it("ends the wait that a task is in, and refuses the next ones", function()
    local results = {}
    local task = moonpark.go(function()
      for i = 1, 3 do results[i] = { moonpark.sleep(1e6) } end
    end)
    settle()
    task:cancel()
    task:join()
    assert.same({ { nil, "canceled" }, { nil, "canceled" }, { nil, "canceled" } }, results)
  end)

  it("is not swallowed by pcall", function()
    local first, second
    local task = moonpark.go(function()
      first = pcall(function() assert(moonpark.sleep(1e6)) end)
      second = select(2, moonpark.sleep(1e6))
    end)
    settle()
    task:cancel()
    task:join()
    assert.is_false(first)
    assert.equal("canceled", second)
  end)

  it("of a task that has not run yet lets it run; its first wait is refused", function()
    local ran, err
    local task = moonpark.go(function()
      ran = true
      err = select(2, moonpark.sleep(1e6))
    end)
    task:cancel()
    task:join()
    assert.is_true(ran)
    assert.equal("canceled", err)
  end)

  it("twice, of an ended task, and of oneself is harmless", function()
    local task = moonpark.go(forever)
    task:cancel("first")
    task:cancel("second")
    assert.equal("first", task:cancel_reason())
    task:join()
    task:cancel()
    assert.equal("done", task:status())
    local err
    moonpark.go(function()
      moonpark.current():cancel()
      err = select(2, moonpark.yield())
    end):join()
    assert.equal("canceled", err)
  end)

  it("lets what was handed over before it arrive", function()
    local ch = moonpark.chan()
    local got = {}
    local task = moonpark.go(function()
      got[1] = ch:recv()
      got[2] = select(2, ch:recv())
    end)
    settle()
    ch:send("value")
    task:cancel()
    task:join()
    assert.same({ "value", "canceled" }, got)
  end)

  it("lets others run while a cancelled task asks in vain", function()
    local stop, turns = false, 0
    local task = moonpark.go(function()
      while not stop do
        moonpark.sleep(1e6)
        turns = turns + 1
      end
    end)
    task:cancel()
    moonpark.sleep(0.001)
    stop = true
    task:join()
    assert.is_true(turns > 0)
  end)
end)

describe("scope", function()
  it("returns what its body returns, when its tasks have ended", function()
    local ended = 0
    local a, b = moonpark.scope(function(scope)
      for _ = 1, 3 do
        scope:go(function()
          moonpark.yield()
          ended = ended + 1
        end)
      end
      return "a", "b"
    end)
    assert.same({ "a", "b", 3 }, { a, b, ended })
  end)

  it("raises a child's error with the child's traceback, and cancels the siblings and the body", function()
    local sibling, body
    local function broken() error("broken child") end
    local ok, err = pcall(moonpark.scope, function(scope)
      scope:go(function() sibling = select(2, moonpark.sleep(1e6)) end)
      scope:go(function() moonpark.yield() broken() end)
      body = select(2, moonpark.sleep(1e6))
    end)
    assert.is_false(ok)
    assert.matches("broken child", err)
    assert.matches("in function 'broken'", err)
    assert.matches("started at:\n\t[^\n]*task_spec.lua:%d+", err)
    assert.same({ "canceled", "canceled" }, { sibling, body })
  end)

  it("raises a child's error object as it is", function()
    local object = {}
    local ok, err = pcall(moonpark.scope, function(scope) scope:go(function() error(object) end) end)
    assert.is_false(ok)
    assert.equal(object, err)
  end)

  it("raises the error of its body and cancels the children first", function()
    local child
    local ok, err = pcall(moonpark.scope, function(scope)
      scope:go(function() child = select(2, moonpark.sleep(1e6)) end)
      moonpark.yield()
      error("body", 0)
    end)
    assert.same({ false, "body", "canceled" }, { ok, err, child })
  end)

  it("raises the first of several errors, and the others are reported", function()
    local ok, err = pcall(moonpark.scope, function(scope)
      scope:go(function() error("first", 0) end)
      scope:go(function()
        moonpark.sleep(1e6)
        error("second", 0)
      end)
    end)
    assert.is_false(ok)
    assert.matches("^first", err)
    local others = testing.uncaught()
    assert.equal(1, #others)
    assert.matches("^second\n", others[1])
  end)

  it("does not take a child that gives up because of the cancel for a failure", function()
    local ok, err = pcall(moonpark.scope, function(scope)
      scope:go(function() assert(moonpark.sleep(1e6)) end)
      moonpark.yield()
      scope:cancel()
    end)
    assert.is_true(ok, err)
  end)

  it("is cancelled with the task that is in it, with all that is nested", function()
    local seen = {}
    local task = moonpark.go(function()
      moonpark.scope(function(outer)
        outer:go(function()
          moonpark.scope(function(inner)
            inner:go(function() seen.inner = select(2, moonpark.sleep(1e6)) end)
          end)
          seen.child = select(2, moonpark.sleep(1e6))
        end)
      end)
      seen.task = select(2, moonpark.sleep(1e6))
    end)
    settle()
    task:cancel()
    task:join()
    assert.same({ inner = "canceled", child = "canceled", task = "canceled" }, seen)
  end)

  it("nests thousands deep without exhausting the C stack when it is cancelled", function()
    local depth, reached = 3000, 0
    local function nest(n)
      if n == 0 then
        reached = reached + 1
        return moonpark.sleep(1e6)
      end
      moonpark.scope(function(scope) scope:go(nest, n - 1) end)
    end
    local task = moonpark.go(nest, depth)
    while reached == 0 do moonpark.yield() end
    task:cancel()
    assert.is_true((task:join()))
  end)

  it("refuses tasks once it is closed", function()
    local kept
    moonpark.scope(function(scope) kept = scope end)
    assert.error_matches(function() kept:go(forever) end, "scope is closed")
  end)

  it("starts tasks from its children too", function()
    local ran = false
    moonpark.scope(function(scope)
      scope:go(function() scope:go(function() ran = true end) end)
    end)
    assert.is_true(ran)
  end)

  it("that a generator left behind cancels its tasks when it is collected", function()
    local child
    local generator = coroutine.wrap(function()
      moonpark.scope(function(scope)
        child = scope:go(forever)
        coroutine.yield()
      end)
    end)
    generator()
    generator = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({ true, nil, "canceled" }, { child:join() })
  end)

  it("that a generator left behind does not end what its task waits for by then, as it once did", function()
    local generator = coroutine.wrap(function() moonpark.scope(coroutine.yield) end)
    generator()
    generator = nil -- luacheck: ignore
    local gate = moonpark.event()
    moonpark.go(function()
      collectgarbage()
      collectgarbage()
      gate:set()
    end)
    assert.same({ true }, { gate:wait() })
  end)

  it("waits for a task that another one starts in it right after the last child has ended", function()
    local scope, ended
    local channel = moonpark.chan()
    local late = moonpark.go(function()
      channel:recv()
      scope:go(function()
        settle()
        ended = true
      end)
    end)
    moonpark.yield()
    moonpark.scope(function(s)
      scope = s
      s:go(function() channel:send("I end now") end)
    end)
    assert.is_true(ended)
    assert.is_true(late:join())
  end)

  it("cannot be closed under its task, which once waited for ever then", function()
    local ok, err
    moonpark.scope(function(scope)
      scope:go(function() ok, err = pcall(scope.close, scope) end)
    end)
    assert.is_false(ok)
    assert.matches("is already waiting for its children", err)
  end)
end)

describe("timeout", function()
  it("returns the results of what is done in time", function()
    assert.same({ 1, 2 }, { moonpark.timeout(1e6, function(a, b) return a, b end, 1, 2) })
    assert.equal(0, core.stats().timers)
  end)

  it("cancels what takes longer, and the waits after it go on as before", function()
    local inside
    local results = { moonpark.timeout(0.001, function() inside = select(2, moonpark.sleep(1e6)) end) }
    assert.same({ nil, "timeout" }, results)
    assert.equal("canceled", inside)
    assert.is_true((moonpark.yield()))
  end)

  it("takes an error that is only about the cancel for the timeout, and raises others", function()
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.001, function() assert(moonpark.sleep(1e6)) end) })
    local ok, err = pcall(moonpark.timeout, 0.001, function()
      moonpark.sleep(1e6)
      error("other", 0)
    end)
    assert.same({ false, "other" }, { ok, err })
  end)

  it("keeps results that were ready before any wait was refused", function()
    assert.equal("result", moonpark.timeout(0, function() return "result" end))
  end)

  it("nests: the inner one is the one that ends", function()
    local outer = { moonpark.timeout(1e6, function()
      local inner = { moonpark.timeout(0.001, forever) }
      assert.same({ nil, "timeout" }, inner)
      return "outer"
    end) }
    assert.same({ "outer" }, outer)
  end)

  it("around a scope counts when it cancels the scope's tasks", function()
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.001, function()
      moonpark.scope(function(scope) scope:go(forever) end)
      return "as if nothing had happened"
    end) })
  end)

  it("of zero or less refuses the first wait", function()
    for _, seconds in ipairs { 0, -1, -math.huge } do
      assert.same({ nil, "timeout" }, { moonpark.timeout(seconds, forever) })
    end
  end)

  it("of infinity never ends it", function()
    assert.equal("x", moonpark.timeout(math.huge, function() moonpark.yield() return "x" end))
  end)

  it("refuses what is no number of seconds", function()
    assert.error_matches(function() moonpark.timeout(0 / 0, forever) end, "NaN")
    assert.error_matches(function() moonpark.timeout("1", forever) end, "number of seconds expected")
    assert.error_matches(function() moonpark.timeout(1) end, "function expected")
  end)
end)

describe("shield", function()
  it("keeps a cancel out until it is left", function()
    local inside, after
    local task = moonpark.go(function()
      inside = { moonpark.shield(function() return moonpark.sleep(0.001) end) }
      after = { moonpark.sleep(1e6) }
    end)
    settle()
    task:cancel()
    task:join()
    assert.same({ { true }, { nil, "canceled" } }, { inside, after })
  end)

  it("keeps out a timeout around it, not one inside it", function()
    local inner
    local outer = { moonpark.timeout(0, function()
      moonpark.shield(function()
        assert(moonpark.yield())
        inner = { moonpark.timeout(0, forever) }
      end)
      return moonpark.yield()
    end) }
    assert.same({ nil, "timeout" }, inner)
    assert.same({ nil, "timeout" }, outer)
  end)

  it("lets errors and results through", function()
    assert.same({ 1, 2 }, { moonpark.shield(function(...) return ... end, 1, 2) })
    assert.error_matches(function() moonpark.shield(error, "x") end, "x")
  end)
end)

describe("sleep", function()
  it("never wakes early", function()
    for _, seconds in ipairs { 0.0001, 0.001, 0.01 } do
      local from = moonpark.now()
      assert.is_true((moonpark.sleep(seconds)))
      assert.is_true(moonpark.now() >= from + seconds)
    end
  end)

  it("wakes sleepers in the order of their times", function()
    local order = {}
    for _, ms in ipairs { 3, 1, 2 } do
      moonpark.go(function()
        moonpark.sleep(ms / 1000)
        order[#order + 1] = ms
      end)
    end
    while #order < 3 do moonpark.sleep(0.001) end
    assert.same({ 1, 2, 3 }, order)
  end)

  it("of zero or less lets the others run once", function()
    local ran = false
    moonpark.go(function() ran = true end)
    assert.is_true((moonpark.sleep(0)))
    assert.is_true(ran)
    assert.is_true((moonpark.sleep(-5)))
  end)

  it("refuses what is no number", function()
    assert.error_matches(function() moonpark.sleep() end, "number expected")
    assert.error_matches(function() moonpark.sleep(0 / 0) end, "NaN")
  end)
end)

describe("a task that always finds data", function()
  it("lets the others run after its share of operations", function()
    local ch = moonpark.chan(1)
    local stop, turns = false, 0
    local task = moonpark.go(function()
      while not stop do
        ch:send(1)
        ch:recv()
        turns = turns + 1
      end
    end)
    moonpark.yield()
    moonpark.yield()
    stop = true
    task:join()
    assert.is_true(turns > 0)
  end)
end)
