-- SPDX-License-Identifier: MIT
-- every_spec.lua - moonpark.every: no drift, no overlap, errors do not end it.

local moonpark = require "moonpark"
local process = require "support.process"
local testing = require "moonpark.testing"

describe("moonpark.every", function()
  local clock, times, task

  before_each(function() clock, times = testing.clock(), {} end)
  after_each(function()
    if task then
      task:cancel()
      task:join()
    end
  end)

  local function note() times[#times + 1] = math.floor(clock:now() * 1000 + 0.5) / 1000 end

  it("calls again and again, the first time after a period", function()
    task = moonpark.every(10, note)
    moonpark.sleep(35)
    assert.same({ 10, 20, 30 }, times)
    assert.matches('"every 10 s"', tostring(task))
  end)

  it("calls at once if it is to", function()
    task = moonpark.every(10, note, { now = true })
    moonpark.sleep(25)
    assert.same({ 0, 10, 20 }, times)
  end)

  it("does not drift, however long the calls take", function()
    local durations = { 1, 9.5, 0.25, 3, 0, 0 }
    task = moonpark.every(10, function()
      note()
      moonpark.sleep(durations[#times])
    end)
    moonpark.sleep(65)
    assert.same({ 10, 20, 30, 40, 50, 60 }, times)
  end)

  it("never calls twice at once: times that pass during a call are left out", function()
    local durations = { 25, 10, 1, 0, 0 }
    task = moonpark.every(10, function()
      note()
      moonpark.sleep(durations[#times])
    end)
    moonpark.sleep(75)
    assert.same({ 10, 40, 50, 60, 70 }, { times[1], times[2], times[3], times[4], times[5] })
  end)

  it("comes late by a random time that does not add up", function()
    task = moonpark.every(10, note, { jitter = 4 })
    moonpark.sleep(1005)
    assert.equal(100, #times)
    local late = 0
    for i, time in ipairs(times) do
      assert.is_true(time >= i * 10 and time <= i * 10 + 4)
      late = late + time - i * 10
    end
    assert.is_true(late > 100 and late < 300)
  end)

  it("reports an error, with its traceback, and goes on", function()
    task = moonpark.every(10, function()
      note()
      if #times < 3 then error "boom" end
    end)
    moonpark.sleep(35)
    assert.same({ 10, 20, 30 }, times)
    local told = testing.uncaught()
    assert.equal(2, #told)
    assert.matches("every_spec.lua:%d+: boom\nstack traceback:\n.*every_spec.lua", told[1])
    task:cancel()
    task:join()
    local log = {}
    task = moonpark.every(10, function() error "boom" end, { on_error = function(text) log[#log + 1] = text end })
    moonpark.sleep(15)
    assert.equal(1, #log)
    assert.matches("boom\nstack traceback", log[1])
  end)

  it("ends when it is cancelled, from outside and from inside", function()
    task = moonpark.every(10, note)
    moonpark.sleep(15)
    task:cancel()
    moonpark.sleep(50)
    assert.same({ "done", { 10 } }, { task:status(), times })
    task = moonpark.every(10, function()
      note()
      moonpark.current():cancel()
    end)
    moonpark.sleep(50)
    assert.same({ "done", 2 }, { task:status(), #times })
    task = moonpark.every(10, function() assert(moonpark.sleep(100)) end) -- it gives up in the middle
    moonpark.sleep(15)
    task:cancel()
    assert.same({ true }, { task:join() })
  end)

  it("does not keep the program, unless it is asked to", function()
    local script = [[local moonpark = require "moonpark"
      moonpark.run(function()
        local n, task = 0
        task = moonpark.every(0.001, function()
          n = n + 1
          if n == 3 then print(n) moonpark.current():cancel() end
        end, { daemon = %s })
      end)]]
    local function output(daemon)
      local r = process.run { process.interpreter, "-e", script:format(daemon) }
      assert.same({ 0, "" }, { r.status, r.err })
      return r.out
    end
    assert.equal("", output "true")
    assert.equal("3\n", output "false")
  end)

  it("raises for what it cannot use", function()
    local function wrong(pattern, ...)
      local args = { n = select("#", ...), ... }
      local _, err = pcall(function() moonpark.every(unpack(args, 1, args.n)) end)
      assert.matches("^spec/every_spec.lua:%d+: " .. pattern, err)
    end
    wrong("bad argument #1 to 'every'", 0, print)
    wrong("bad argument #1 to 'every'", math.huge, print)
    wrong("bad argument #1 to 'every'", 0 / 0, print)
    wrong("bad argument #2 to 'every'", 1)
    wrong("every: option 'jitter' must be less than the period", 1, print, { jitter = 1 })
    wrong("every: unknown option 'noww'; did you mean 'now'", 1, print, { noww = true })
  end)
end)
