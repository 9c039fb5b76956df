-- SPDX-License-Identifier: MIT
-- Mutex, semaphore, event.

local moonpark = require "moonpark"

local function settle()
  for _ = 1, 10 do moonpark.yield() end
end

describe("a mutex", function()
  it("lets one task in at a time, in the order they came", function()
    local mutex, inside, most, order = moonpark.mutex(), 0, 0, {}
    moonpark.scope(function(scope)
      for i = 1, 5 do
        scope:go(function()
          assert(mutex:lock())
          inside = inside + 1
          most = math.max(most, inside)
          order[#order + 1] = i
          moonpark.yield()
          inside = inside - 1
          mutex:unlock()
        end)
      end
    end)
    assert.equal(1, most)
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert.is_false(mutex:is_locked())
  end)

  it("is handed to the first waiter: nobody overtakes it", function()
    local mutex, order = moonpark.mutex(), {}
    mutex:lock()
    moonpark.go(function()
      mutex:lock()
      order[#order + 1] = "waiter"
      mutex:unlock()
    end)
    settle()
    mutex:unlock()
    assert.is_false(mutex:try_lock())
    mutex:lock()
    order[#order + 1] = "late"
    mutex:unlock()
    assert.same({ "waiter", "late" }, order)
  end)

  it("is not left with a waiter that gave up", function()
    local mutex = moonpark.mutex()
    mutex:lock()
    local results = {}
    local waiting = moonpark.go(function() results[1] = { mutex:lock(0.001) } end)
    local canceled = moonpark.go(function() results[2] = { mutex:lock() } end)
    waiting:join()
    canceled:cancel()
    canceled:join()
    assert.same({ { nil, "timeout" }, { nil, "canceled" } }, results)
    mutex:unlock()
    assert.is_true(mutex:try_lock())
    mutex:unlock()
  end)

  it("raises when its own task locks it twice, and when another unlocks it", function()
    local mutex = moonpark.mutex()
    assert.error_matches(function() mutex:unlock() end, "not locked by this task")
    mutex:lock()
    assert.error_matches(function() mutex:lock() end, "already locked by this task")
    local ok, err = moonpark.go(function() mutex:unlock() end):join()
    assert.is_nil(ok)
    assert.matches("not locked by this task", err)
    mutex:unlock()
  end)
end)

describe("a semaphore", function()
  it("lets n tasks in", function()
    local semaphore, inside, most = moonpark.semaphore(3), 0, 0
    moonpark.scope(function(scope)
      for _ = 1, 10 do
        scope:go(function()
          assert(semaphore:acquire())
          inside = inside + 1
          most = math.max(most, inside)
          moonpark.yield()
          inside = inside - 1
          semaphore:release()
        end)
      end
    end)
    assert.equal(3, most)
    assert.equal(3, semaphore:count())
  end)

  it("wakes as many waiters as are released, and keeps the rest", function()
    local semaphore, woken = moonpark.semaphore(0), 0
    for _ = 1, 2 do
      moonpark.go(function()
        semaphore:acquire()
        woken = woken + 1
      end)
    end
    settle()
    semaphore:release(5)
    settle()
    assert.same({ 2, 3 }, { woken, semaphore:count() })
  end)

  it("gives up after its timeout", function()
    local semaphore = moonpark.semaphore(0)
    assert.same({ nil, "timeout" }, { semaphore:acquire(0.001) })
    assert.same({ nil, "timeout" }, { semaphore:acquire(0) })
    semaphore:release()
    assert.equal(1, semaphore:count())
  end)

  it("refuses counts that are none", function()
    assert.error(function() moonpark.semaphore() end)
    assert.error(function() moonpark.semaphore(-1) end)
    assert.error(function() moonpark.semaphore(1):release(0) end)
  end)
end)

describe("an event", function()
  it("holds everybody until it is set, and nobody after", function()
    local event, passed = moonpark.event(), 0
    for _ = 1, 3 do
      moonpark.go(function()
        event:wait()
        passed = passed + 1
      end)
    end
    settle()
    assert.equal(0, passed)
    event:set()
    settle()
    assert.equal(3, passed)
    assert.is_true((event:wait()))
    assert.is_true(event:is_set())
  end)

  it("can be cleared, and gives up after a timeout", function()
    local event = moonpark.event()
    event:set()
    event:clear()
    assert.is_false(event:is_set())
    assert.same({ nil, "timeout" }, { event:wait(0.001) })
  end)
end)
