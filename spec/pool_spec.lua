-- SPDX-License-Identifier: MIT
-- pool_spec.lua - moonpark.pool: bounded, lazy, in order or as they come; errors cancel the rest.

local moonpark = require "moonpark"
local testing = require "moonpark.testing"

local function numbers(last)
  local i = 0
  return function()
    if i == last then return nil end
    i = i + 1
    return i
  end
end

describe("moonpark.pool", function()
  before_each(function() testing.clock() end)

  it("calls the function for each item of a list, and has the results in their order", function()
    local results, errors = moonpark.pool(2, { 3, 1, 2 }, function(seconds, index)
      moonpark.sleep(seconds)
      return seconds * 10 + index
    end)
    assert.same({ 31, 12, 23, n = 3 }, results)
    assert.same({}, errors)
  end)

  it("has as many at once as it may, and no more", function()
    local running, most, began = 0, 0, moonpark.now()
    moonpark.pool(3, numbers(9), function()
      running = running + 1
      most = math.max(most, running)
      moonpark.sleep(1)
      running = running - 1
    end)
    assert.equal(3, most)
    assert.is_true(math.abs(moonpark.now() - began - 3) < 1e-3)
  end)

  it("takes nothing, one, and channels; n may be more than there is", function()
    assert.same({ n = 0 }, (moonpark.pool(4, {}, error)))
    assert.same({ n = 0 }, (moonpark.pool(4, function() end, error)))
    assert.same({ 2, n = 1 }, (moonpark.pool(100, { 1 }, function(i) return i * 2 end)))
    local jobs = moonpark.chan(1)
    local giver = moonpark.go(function()
      for i = 1, 5 do jobs:send(i) end
      jobs:close()
    end)
    assert.same({ 1, 4, 9, 16, 25, n = 5 }, (moonpark.pool(2, jobs, function(i) return i * i end)))
    giver:join()
  end)

  it("keeps nil and why apart, each under its item's number", function()
    local results, errors = moonpark.pool(2, { 1, 2, 3 }, function(i)
      if i == 2 then return nil, "refused" end
      return false, i
    end)
    assert.same({ [1] = false, [3] = false, n = 3 }, results)
    assert.same({ [2] = "refused" }, errors)
  end)

  it("pulls no further than it can work: the iterator may be endless, and may wait", function()
    local pulled, seen = 0, {}
    local generator = coroutine.wrap(function()
      while true do
        moonpark.sleep(0.1)
        pulled = pulled + 1
        coroutine.yield(pulled)
      end
    end)
    assert.is_table(moonpark.pool(2, generator, function(i) return i end, { each = function(index, value)
      seen[index] = value
      return index < 5
    end }))
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    assert.is_true(pulled <= 6, "pulled " .. pulled)
  end)

  it("gives results in order to `each`, and bounds how many wait for the first", function()
    local started, got = 0, {}
    moonpark.pool(2, numbers(40), function(i)
      started = math.max(started, i)
      if i == 1 then
        moonpark.sleep(100)
        assert.equal(8, started)
      end
      return i, "second"
    end, { each = function(index, value, second)
      assert.same({ index, "second" }, { value, second })
      moonpark.sleep(0.01)
      got[#got + 1] = value
    end })
    local all = {}
    for i = 1, 40 do all[i] = i end
    assert.same(all, got)
  end)

  it("gives them as they come", function()
    local got = {}
    local results = moonpark.pool(3, { 3, 1, 2 }, function(seconds) moonpark.sleep(seconds) end,
      { ordered = false, each = function(index) got[#got + 1] = index end })
    assert.same({ 2, 3, 1 }, got)
    assert.same({ n = 3 }, results)
  end)

  it("raises the first error with its item and traceback, when the others have been cancelled", function()
    local ended = {}
    local function fail(i)
      if i == 2 then
        moonpark.sleep(1)
        error "boom"
      end
      ended[i] = select(2, moonpark.sleep(60))
    end
    local ok, err = pcall(moonpark.pool, 3, numbers(9), fail)
    assert.is_false(ok)
    assert.matches("^[^\n]*pool_spec.lua:%d+: boom %(item 2%)\nstack traceback:\n.*in function '?<?[^\n]*\n", err)
    assert.matches("pool_spec.lua:%d+: in function", err)
    assert.same({ [1] = "canceled", [3] = "canceled" }, ended)
  end)

  it("raises what is no text as it is, and what `each` and the iterator raise", function()
    local object = setmetatable({}, { __tostring = function() return "object" end })
    local _, err = pcall(moonpark.pool, 2, { 1 }, function() error(object) end)
    assert.equal(object, err)
    _, err = pcall(moonpark.pool, 2, { 1, 2 }, function(i) return i end,
      { each = function(i) if i == 2 then error "each failed" end end })
    assert.matches("each failed %(item 2%)\n", err)
    _, err = pcall(moonpark.pool, 2, function() error("iterator failed", 0) end, print)
    assert.matches("^iterator failed", err)
  end)

  it("names the item of an error although `each` is busy with another", function()
    local _, err = pcall(moonpark.pool, 2, { 0, 1 }, function(seconds)
      moonpark.sleep(seconds)
      if seconds > 0 then error "late" end
    end, { each = function() moonpark.sleep(10) end })
    assert.matches("late %(item 2%)\n", err)
  end)

  it("is cancelled with its task, and ends at a timeout around it", function()
    local ended = 0
    local function work()
      assert.same({ nil, "canceled" }, { moonpark.sleep(60) })
      ended = ended + 1
    end
    local task = moonpark.go(moonpark.pool, 2, numbers(math.huge), work)
    moonpark.sleep(1)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.same({ nil, "timeout" }, { moonpark.timeout(1, moonpark.pool, 2, numbers(math.huge), work) })
    assert.equal(4, ended)
  end)

  it("limits the time of one item", function()
    local results, errors = moonpark.pool(2, { 1, 9, 2 }, function(seconds)
      moonpark.sleep(seconds)
      return seconds
    end, { timeout = 5 })
    assert.same({ 1, nil, 2, n = 3 }, results)
    assert.same({ nil, "timeout" }, errors)
  end)

  it("may be used in itself, and finds every item once among many", function()
    local total = 0
    moonpark.pool(7, numbers(50), function(i)
      local inner = moonpark.pool(3, numbers(i % 5), function(k)
        moonpark.sleep(k / 100)
        return k
      end)
      for k = 1, inner.n do total = total + inner[k] end
    end)
    assert.equal(10 * (0 + 1 + 3 + 6 + 10), total)
  end)

  it("raises for what it cannot use, at the script's line", function()
    local function wrong(pattern, ...)
      local args = { n = select("#", ...), ... }
      local _, err = pcall(function() moonpark.pool(unpack(args, 1, args.n)) end)
      assert.matches("^spec/pool_spec.lua:%d+: " .. pattern, err)
    end
    wrong("bad argument #1 to 'pool'", 0, {}, print)
    wrong("bad argument #1 to 'pool'", 1.5, {}, print)
    wrong("bad argument #1 to 'pool'", "2", {}, print)
    wrong("bad argument #2 to 'pool'", 1, 5, print)
    wrong("bad argument #3 to 'pool'", 1, {}, nil)
    wrong("pool: unknown option 'orderd'; did you mean 'ordered'", 1, {}, print, { orderd = true })
  end)
end)
