-- SPDX-License-Identifier: MIT
-- retry_spec.lua - moonpark.retry: what is called again, after which pauses, and when it stops.

local moonpark = require "moonpark"
local testing = require "moonpark.testing"

describe("moonpark.retry", function()
  local clock, times

  before_each(function() clock, times = testing.clock(), {} end)

  -- Fails so many times, then returns its arguments; notes when it was called.
  local function failing(count, fail)
    return function(...)
      times[#times + 1] = clock:now()
      if #times <= count then return (fail or function() return nil, "refused", 111 end)() end
      return ...
    end
  end

  it("returns the results of the first success", function()
    assert.same({ "a", nil, "c" }, { moonpark.retry({}, failing(0), "a", nil, "c") })
    assert.equal(1, #times)
    times = {}
    assert.same({ "a", nil, "c" }, { moonpark.retry({}, failing(3), "a", nil, "c") })
    assert.equal(4, #times)
    assert.equal(0, select("#", moonpark.retry({}, function() end)))
    assert.same({ false, "why" }, { moonpark.retry({}, function() return false, "why" end) })
  end)

  it("returns or raises the last failure as it came", function()
    assert.same({ nil, "refused", 111 }, { moonpark.retry({ tries = 3 }, failing(math.huge)) })
    assert.equal(3, #times)
    local object = {}
    local _, err = pcall(moonpark.retry, { tries = 2 }, failing(math.huge, function() error(object) end))
    assert.equal(object, err)
    _, err = pcall(moonpark.retry, { tries = 2 }, function() error "boom" end)
    assert.matches("^spec/retry_spec.lua:%d+: boom", err)
  end)

  it("calls again after an error that was raised", function()
    assert.equal("fine", moonpark.retry({}, failing(2, error), "fine"))
  end)

  it("doubles the pauses up to the longest", function()
    moonpark.retry({ first = 1, max = 5, jitter = false, tries = 6 }, failing(math.huge))
    assert.same({ 0, 1, 3, 7, 12, 17 }, times)
    times = {}
    local began = clock:now()
    moonpark.retry({ first = 1, factor = 1, jitter = false, tries = 3 }, failing(math.huge))
    assert.same({ began, began + 1, began + 2 }, times)
  end)

  it("pauses for a random time below that", function()
    local least, most, sum = math.huge, 0, 0
    for _ = 1, 300 do
      times = {}
      moonpark.retry({ first = 8, tries = 2 }, failing(1))
      local pause = times[2] - times[1]
      least, most, sum = math.min(least, pause), math.max(most, pause), sum + pause
    end
    assert.is_true(least >= 0 and least < 1 and most > 7 and most <= 8)
    assert.is_true(sum / 300 > 3 and sum / 300 < 5)
  end)

  it("asks which failures are worth another call, and how long to wait at least", function()
    local asked = {}
    assert.same({ nil, "refused", 111 }, { moonpark.retry({ on = function(err, tries)
      asked[#asked + 1] = { err, tries }
      return tries < 3
    end }, failing(math.huge)) })
    assert.same({ { "refused", 1 }, { "refused", 2 }, { "refused", 3 } }, asked)
    times = {}
    local began = clock:now()
    moonpark.retry({ first = 1, on = function() return 30 end }, failing(1))
    assert.same({ began, began + 30 }, times)
  end)

  it("stops when the time for everything is up, and cuts a call off then", function()
    assert.same({ nil, "refused", 111 }, { moonpark.retry({ first = 1, jitter = false, total = 5, tries = 100 },
      failing(math.huge)) })
    assert.same({ 0, 1, 3 }, times)
    local began = clock:now()
    assert.same({ nil, "timeout" }, { moonpark.retry({ total = 5 }, function() return moonpark.sleep(60) end) })
    assert.equal(began + 5, clock:now())
  end)

  it("limits the time of one call", function()
    local calls = 0
    assert.equal("done", moonpark.retry({ timeout = 1 }, function()
      calls = calls + 1
      if calls < 3 then moonpark.sleep(60) end
      return "done"
    end))
  end)

  it("never goes on in a cancelled task", function()
    local calls = 0
    local task = moonpark.go(moonpark.retry, { tries = 10 }, function()
      calls = calls + 1
      return moonpark.sleep(60)
    end)
    moonpark.sleep(1)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    task = moonpark.go(moonpark.retry, { first = 60, jitter = false }, failing(math.huge))
    moonpark.sleep(1)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.same({ 1, 1 }, { calls, #times })
    assert.same({ nil, "timeout" }, { moonpark.timeout(1, moonpark.retry, { first = 60, jitter = false },
      function() return nil, "refused" end) })
  end)

  it("does not take a cancellation for a failure", function()
    assert.same({ nil, "canceled" }, { moonpark.retry({}, failing(math.huge, function() return nil, "canceled" end)) })
    assert.equal(1, #times)
  end)

  it("raises for what it cannot use", function()
    local function wrong(pattern, ...)
      local args = { n = select("#", ...), ... }
      local _, err = pcall(function() moonpark.retry(unpack(args, 1, args.n)) end)
      assert.matches("^spec/retry_spec.lua:%d+: " .. pattern, err)
    end
    wrong("bad argument #1 to 'retry'", print)
    wrong("bad argument #2 to 'retry'", {})
    wrong("retry: option 'tries' must be a positive whole number", { tries = 0 }, print)
    wrong("retry: option 'factor' must be a number of at least 1", { factor = 0.5 }, print)
    wrong("retry: unknown option 'retries'", { retries = 3 }, print)
  end)
end)
