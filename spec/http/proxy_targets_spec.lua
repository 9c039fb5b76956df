-- SPDX-License-Identifier: MIT
-- proxy_targets_spec.lua - which request gets which target, who waits for one, and how targets come and go. Requests
-- are runs here: tables that acquire and release.

local core = require "moonpark.core"
local http_pool = require "moonpark.http.pool"
local moonpark = require "moonpark"
local proxy_options = require "moonpark.http.proxy_options"
local proxy_target = require "moonpark.http.proxy_target"
local proxy_targets = require "moonpark.http.proxy_targets"
local testing = require "moonpark.testing"

local function set_of(list, options)
  local told = {}
  local set = proxy_targets.new(http_pool.new {}, proxy_options.of_targets(options or {}), function(text)
    told[#told + 1] = text
  end)
  for _, target in ipairs(list) do assert(set:add(target)) end
  set.told = told
  return set
end

local function acquire(set, tried)
  local run = { tried = tried }
  assert(set:acquire(run))
  return run
end

local function name_of(run) return run.target and run.target.name end

-- A task that acquires; its run, and what acquire has returned, are in it.
local function waiter(set, run)
  run = run or {}
  run.task = moonpark.go(function() run.result = { set:acquire(run) } end)
  return run
end

local function settle() for _ = 1, 5 do moonpark.yield() end end

local function fail(set, run, times)
  for _ = 1, times or 1 do set:failed(run, "eof") end
end

describe("targets that are full", function()
  it("let requests wait, the first for the first that becomes free", function()
    local set = set_of({ "a", "b" }, { max_requests = 1 })
    local first, second = acquire(set), acquire(set)
    assert.same({ "a", "b" }, { name_of(first), name_of(second) })
    local third, fourth = waiter(set), waiter(set)
    settle()
    assert.equal(2, #set.queue)
    set:release(second)
    settle()
    assert.same({ "b" }, { name_of(third), name_of(fourth) })
    set:release(first)
    fourth.task:join()
    assert.same({ "a", { true } }, { name_of(fourth), fourth.result })
    set:release(third)
    set:release(fourth)
    assert.same({ 0, 0, 0 }, { set.list[1].in_flight, set.list[2].in_flight, #set.queue })
  end)

  it("let no newcomer pass those that wait", function()
    local set = set_of({ "a" }, { max_requests = 1 })
    local first = acquire(set)
    local second = waiter(set)
    settle()
    set:release(first) -- the place is the second's from here on, although its task has not run yet
    local third = waiter(set)
    settle()
    assert.same({ "a" }, { name_of(second), name_of(third) })
    set:release(second)
    third.task:join()
    set:release(third)
  end)

  it("turn away those for which the queue has no room, and those that have waited for too long", function()
    testing.clock()
    local set = set_of({ { url = "a", max_requests = 1 } }, { max_queue = 1, queue_timeout = 7 })
    local first = acquire(set)
    local second, began = waiter(set), moonpark.now()
    settle()
    assert.same({ nil, proxy_targets.FULL }, { set:acquire {} })
    second.task:join()
    assert.same({ nil, proxy_targets.LATE }, second.result)
    assert.equal(7, math.floor(moonpark.now() - began + 0.5))
    assert.equal(0, #set.queue)
    set:release(first)
    assert.equal(0, set.list[1].in_flight)
    local none = set_of({ "a" }, { max_requests = 1, max_queue = 0 })
    local run = acquire(none)
    assert.same({ nil, proxy_targets.FULL }, { none:acquire {} })
    none:release(run)
  end)

  it("lose nothing to one that is cancelled: before it has its place, and just when it gets it", function()
    local set = set_of({ "a" }, { max_requests = 1 })
    local first = acquire(set)
    local second, third = waiter(set), waiter(set)
    settle()
    second.task:cancel()
    second.task:join()
    assert.same({ nil, "canceled" }, second.result)
    assert.same({ third }, set.queue)
    set:release(first)
    third.task:cancel() -- it has the place already
    third.task:join()
    assert.same({ "a", { true } }, { name_of(third), third.result })
    set:release(third)
    assert.equal(0, set.list[1].in_flight)
    set:release(acquire(set))
  end)

  it("are no reason to wait once the time of one that was ejected is over", function()
    testing.clock()
    local set = set_of({ "a", "b" }, { max_requests = 1, queue_timeout = 60, passive = { failures = 1, time = 10 } })
    local first, began = acquire(set), moonpark.now()
    fail(set, first)
    set:release(first)
    local second = acquire(set)
    assert.equal("b", name_of(second))
    local third = acquire(set) -- waits for a, as b stays busy
    assert.same({ "a", 10 }, { name_of(third), math.floor(moonpark.now() - began + 0.5) })
    set:release(second)
    set:release(third)
  end)

  it("give way to what has been added, and to what works again", function()
    local set = set_of({ "a" }, { max_requests = 1 })
    local first = acquire(set)
    local second = waiter(set)
    settle()
    assert(set:add "b")
    second.task:join()
    assert.equal("b", name_of(second))
    set:release(first)
    set:release(second)
  end)

  it("that are all taken away end the waiting", function()
    local set = set_of({ "a" }, { max_requests = 1 })
    local first = acquire(set)
    local second = waiter(set)
    settle()
    assert(set:remove "a")
    second.task:join()
    assert.same({ nil, proxy_targets.NONE }, second.result)
    set:release(first)
    assert.same({ nil, proxy_targets.NONE }, { set:acquire {} })
  end)

  it("are not the backup's business", function()
    local set = set_of { { url = "a", max_requests = 1 }, { url = "b", backup = true } }
    local first = acquire(set)
    local second = waiter(set)
    settle()
    assert.is_nil(name_of(second))
    set:release(first)
    second.task:join()
    assert.equal("a", name_of(second))
    set:release(second)
  end)
end)

describe("targets that fail", function()
  it("are left alone until their time is over, then tried by one request", function()
    local clock = testing.clock()
    local set = set_of({ "a", "b" }, { passive = { failures = 2, time = 10 } })
    local run = acquire(set)
    fail(set, run, 2)
    set:release(run)
    assert.same({ "a is ejected for 10 s after 2 failures: eof" }, set.told)
    for _ = 1, 5 do
      run = acquire(set)
      assert.equal("b", name_of(run))
      set:release(run)
    end
    clock:advance(10)
    local on_a, others = nil, {}
    for i = 1, 4 do
      others[i] = acquire(set)
      if name_of(others[i]) == "a" then on_a = table.remove(others, i) break end
    end
    assert.is_true(on_a.tries)
    for _ = 1, 5 do
      run = acquire(set)
      assert.equal("b", name_of(run))
      set:release(run)
    end
    set:answered(on_a)
    assert.equal("a works again", set.told[2])
    local names = {}
    for _ = 1, 4 do
      run = acquire(set)
      names[name_of(run)] = true
      set:release(run)
    end
    assert.same({ a = true, b = true }, names)
    set:release(on_a)
    for _, one in ipairs(others) do set:release(one) end
  end)

  it("are tried again when the one that tried was cancelled", function()
    local clock = testing.clock()
    local set = set_of({ "a", "b" }, { passive = { failures = 1, time = 10 } })
    local run = acquire(set)
    fail(set, run)
    set:release(run)
    clock:advance(10)
    repeat
      run = acquire(set)
      set:release(run)
    until not run.target and set.list[1].requests == 2
    assert.is_false(set.list[1].trying)
    repeat
      run = acquire(set)
      set:release(run)
    until set.list[1].requests == 3
  end)

  it("are all asked when none is healthy, unless panic is off", function()
    local set = set_of({ "a", "b" }, { passive = { failures = 1, time = 10 } })
    for _ = 1, 2 do
      local run = acquire(set)
      fail(set, run)
      set:release(run)
    end
    local names = {}
    for _ = 1, 2 do
      local run = acquire(set)
      names[name_of(run)] = true
      set:release(run)
    end
    assert.same({ a = true, b = true }, names)
    set.options.panic = false
    assert.same({ nil, proxy_targets.NONE }, { set:acquire {} })
  end)

  it("are not ejected if they are alone", function()
    local set = set_of({ "a" }, { passive = { failures = 1 } })
    local run = acquire(set)
    fail(set, run, 10)
    set:release(run)
    assert.same({ "up", {} }, { set:states()[1].state, set.told })
  end)

  it("have backups, which are asked only then", function()
    local set = set_of({ "a", { url = "b", backup = true } }, { passive = { failures = 1 } })
    for _ = 1, 3 do
      local run = acquire(set)
      assert.equal("a", name_of(run))
      set:release(run)
    end
    local run = acquire(set)
    proxy_targets.has_tried(run)
    fail(set, run)
    set:release(run)
    local tried = run.tried
    for _ = 1, 3 do
      run = acquire(set)
      assert.equal("b", name_of(run))
      set:release(run)
    end
    run = acquire(set, tried)
    assert.equal("b", name_of(run))
    proxy_targets.has_tried(run)
    set:release(run)
    assert.same({ nil, proxy_targets.NONE }, { set:acquire(run) })
  end)
end)

describe("drain()", function()
  it("waits for the requests that a target has, and gives it none", function()
    local set = set_of { "a", "b" }
    local on_a = acquire(set)
    local done
    local task = moonpark.go(function() done = { set:drain(set:find "a") } end)
    settle()
    assert.is_nil(done)
    for _ = 1, 4 do
      local run = acquire(set)
      assert.equal("b", name_of(run))
      set:release(run)
    end
    assert.equal("draining", set:states()[1].state)
    set:release(on_a)
    task:join()
    assert.same({ true }, done)
    set:resume(set:find "a")
    local names = {}
    for _ = 1, 4 do
      local run = acquire(set)
      names[name_of(run)] = true
      set:release(run)
    end
    assert.same({ a = true, b = true }, names)
  end)

  it("ends when its time is over, or with its task, and several tasks may wait", function()
    testing.clock()
    local set = set_of { "a", "b" }
    local run = acquire(set)
    assert.same({ nil, "timeout" }, { set:drain(set:find "a", 3) })
    local results = {}
    local first = moonpark.go(function() results[1] = { set:drain(set:find "a") } end)
    local second = moonpark.go(function() results[2] = { set:drain(set:find "a", 100) } end)
    settle()
    first:cancel()
    first:join()
    set:release(run)
    second:join()
    assert.same({ { nil, "canceled" }, { true } }, results)
  end)
end)

describe("targets that a function names", function()
  it("are tried in its order, and remembered with their failures", function()
    local set = set_of({}, { passive = { failures = 1 } })
    local function run_of(...)
      local run = { list = assert(set:of_urls { ... }) }
      assert(set:acquire(run))
      return run
    end
    local run = run_of("x", "y")
    assert.equal("x", name_of(run))
    fail(set, run)
    set:release(run)
    run = run_of("x", "y")
    assert.equal("y", name_of(run))
    set:release(run)
    assert.same({ "x", "y" }, { set:states()[1].name, set:states()[2].name })
  end)

  it("are forgotten by use, but never while they are asked", function()
    local set = set_of {}
    local kept = { list = assert(set:of_urls "kept") }
    assert(set:acquire(kept))
    for i = 1, 3000 do
      local run = { list = assert(set:of_urls("host-" .. i)) }
      assert(set:acquire(run))
      set:release(run)
    end
    assert.equal(1024, #set:states())
    assert.is_truthy(set.named["kept"])
    assert.is_truthy(set.named["host-3000"])
    assert.is_nil(set.named["host-1"])
    set:release(kept)
  end)
end)

describe("a long random run", function()
  -- What must hold between any two steps.
  local function check(set, holding)
    local counts, waiting = {}, 0
    for run in pairs(holding) do
      if run.target then counts[run.target] = (counts[run.target] or 0) + 1
      elseif not run.result then waiting = waiting + 1 end
    end
    assert.equal(waiting, #set.queue)
    for _, target in ipairs(set.list) do
      assert.equal(counts[target] or 0, target.in_flight)
      assert.is_true(target.in_flight <= target.max_requests)
      local is_free = not target.backup and not proxy_target.is_full(target)
        and proxy_target.is_usable(target, moonpark.now())
      assert.is_false(is_free and waiting > 0)
    end
  end

  local function step(set, holding, random)
    local kind, runs = random(10), {}
    for run in pairs(holding) do runs[#runs + 1] = run end
    table.sort(runs, function(a, b) return a.number < b.number end)
    local run = runs[1] and runs[random(#runs)]
    if kind <= 4 or not run then
      local new = waiter(set, { number = set.count })
      set.count = set.count + 1
      holding[new] = true
    elseif kind == 5 then run.task:cancel()
    elseif kind == 6 and run.target then set:failed(run, "eof")
    elseif kind == 7 and run.target then set:answered(run)
    elseif kind == 8 and random(10) == 1 then
      local target = set.list[random(#set.list)]
      if target.draining then set:resume(target) else set:drain(target, 0) end
    else set:release(run) end
  end

  it("gives no target too much, loses no place, and lets nobody wait for nothing", function()
    local random = require("support.random").new(20261129)
    local clock = testing.clock()
    local set = set_of({ "a", "b", { url = "c", weight = 3 }, { url = "d", backup = true } },
      { max_requests = 3, max_queue = 20, queue_timeout = 50, balance = "least_connections",
        passive = { failures = 4, time = 5, max_time = 40 } })
    local holding = {}
    set.count = 0
    for i = 1, core.hard and 300 or 6000 do
      step(set, holding, random)
      settle()
      for run in pairs(holding) do
        if run.result and not run.target then holding[run] = nil end
      end
      check(set, holding)
      if i % 50 == 0 then clock:advance(3) end
    end
    for run in pairs(holding) do run.task:cancel() end
    for run in pairs(holding) do
      run.task:join()
      set:release(run)
    end
    for _, target in ipairs(set.list) do assert.equal(0, target.in_flight) end
    assert.equal(0, #set.queue)
  end)
end)
