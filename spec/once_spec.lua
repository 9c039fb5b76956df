-- SPDX-License-Identifier: MIT
-- once_spec.lua - moonpark.once: one computes, the others wait; failures are not kept.

local moonpark = require "moonpark"
local testing = require "moonpark.testing"

describe("moonpark.once", function()
  local calls, tasks

  before_each(function()
    testing.clock()
    calls, tasks = 0, {}
  end)

  local function slow(result)
    return function()
      calls = calls + 1
      assert(moonpark.sleep(10))
      return result, calls
    end
  end

  local function ask(value, n)
    for _ = 1, n do tasks[#tasks + 1] = moonpark.go(value) end
  end

  local function answers()
    local all = {}
    for i, task in ipairs(tasks) do all[i] = { task:join() } end
    return all
  end

  it("computes once for all that ask meanwhile, and afterwards", function()
    local value = moonpark.once(slow "value")
    ask(value, 3)
    assert.same({ { true, "value", 1 }, { true, "value", 1 }, { true, "value", 1 } }, answers())
    assert.same({ "value", 1 }, { value() })
    assert.equal(1, calls)
  end)

  it("keeps false, and results that have holes", function()
    local value = moonpark.once(function() return false, nil, "third" end)
    value()
    assert.equal(3, select("#", value()))
    assert.same({ false, nil, "third" }, { value() })
  end)

  it("does not keep a failure: it goes to the one that has computed, and the next one computes", function()
    local value = moonpark.once(function()
      calls = calls + 1
      moonpark.sleep(1)
      if calls == 1 then error("boom", 0) end
      if calls == 2 then return nil, "refused" end
      return "fine"
    end)
    ask(value, 4)
    local all = answers()
    assert.same({ nil, "boom" }, { all[1][1], all[1][2] })
    assert.same({ { true, nil, "refused" }, { true, "fine" }, { true, "fine" } }, { all[2], all[3], all[4] })
    assert.equal(3, calls)
  end)

  it("goes on with the next one if the task that computes is cancelled", function()
    local value = moonpark.once(slow "value")
    ask(value, 3)
    moonpark.sleep(1)
    tasks[1]:cancel()
    local all = answers()
    assert.is_nil(all[1][1])
    assert.same({ { true, "value", 2 }, { true, "value", 2 } }, { all[2], all[3] })
  end)

  it("lets a task that waits give up", function()
    local value = moonpark.once(slow "value")
    ask(value, 1)
    moonpark.yield()
    assert.same({ nil, "timeout" }, { moonpark.timeout(1, value) })
    assert.same({ { true, "value", 1 } }, answers())
  end)

  it("is reset: what is being computed then is for those that wait, and not kept", function()
    local value, reset = moonpark.once(slow "value")
    ask(value, 2)
    moonpark.sleep(1)
    reset()
    ask(value, 1)
    moonpark.sleep(1)
    assert.equal(2, calls)
    local all = answers()
    assert.same({ "value", "value", "value" }, { all[1][2], all[2][2], all[3][2] })
    assert.same({ "value", 2 }, { value() })
    reset()
    assert.same({ "value", 3 }, { value() })
  end)

  it("computes anew when the value is too old", function()
    local value = moonpark.once(slow "value", { ttl = 60 })
    assert.same({ "value", 1 }, { value() })
    moonpark.sleep(59)
    assert.same({ "value", 1 }, { value() })
    moonpark.sleep(1)
    assert.same({ "value", 2 }, { value() })
  end)

  it("raises where it would wait for itself, and for what it cannot use", function()
    local value
    value = moonpark.once(function()
      local own = value()
      return own
    end)
    local _, err = pcall(function() value() end)
    assert.matches("^spec/once_spec.lua:%d+: this value is being computed by this task", err)
    _, err = pcall(function() moonpark.once "x" end)
    assert.matches("^spec/once_spec.lua:%d+: bad argument #1 to 'once'", err)
    _, err = pcall(function() moonpark.once(print, { ttl = 0 }) end)
    assert.matches("^spec/once_spec.lua:%d+: once: option 'ttl'", err)
  end)
end)
