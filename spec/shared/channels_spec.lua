-- SPDX-License-Identifier: MIT
-- Channels of moonpark.shared: messages to all processes and to one of them, slow receivers, ends; in one process, and
-- between several.

local moonpark = require "moonpark"
local random = require "support.random"
local shared = require "support.coordination"
local testing = require "moonpark.testing"

local settle = shared.settle

local function raised(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return err
end

-- What a closed receiver still has.
local function rest(receiver)
  local list = {}
  for value in receiver:iter() do list[#list + 1] = value end
  return list
end

for where, start in pairs(shared.worlds) do
  describe("a shared channel " .. where, function()
    local w

    before_each(function() w = start(3) end)
    after_each(function() w.close() end)

    -- A receiver of each.
    local function subscribe(name, options)
      local receivers = {}
      for i = 1, 3 do receivers[i] = assert(w[i].channel(name):subscribe(options)) end
      return receivers
    end

    it("publishes to every receiver, those of its own process too, in order, and says to how many", function()
      assert.equal(0, w[1].channel("x"):publish "nobody")
      local receivers = subscribe "x"
      local elsewhere = assert(w[1].channel("y"):subscribe())
      for i = 1, 100 do assert.equal(3, w[i % 2 + 1].channel("x"):publish(i)) end
      for _, receiver in ipairs(receivers) do
        for i = 1, 100 do assert.equal(i, (receiver:recv())) end
        receiver:close()
        assert.same({ nil, "closed" }, { receiver:recv() })
      end
      assert.same({ nil, "timeout" }, { elsewhere:recv(0) })
      elsewhere:close()
    end)

    it("sends to one receiver, to each in turn", function()
      local jobs = w[1].channel "jobs"
      assert.same({ nil, "nobody receives" }, { jobs:send "lost" })
      local receivers = subscribe "jobs"
      for i = 1, 6 do assert.is_true((jobs:send(i))) end
      local got = {}
      for i, receiver in ipairs(receivers) do
        receiver:close()
        got[i] = rest(receiver)
      end
      assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, got)
    end)

    it("carries strings with any bytes, numbers, booleans and tables, of which each receiver has its own", function()
      local receivers = subscribe "x"
      for _, value in ipairs { "\0\n\255\\\"", "", 0.1, -1e300, true, false, { a = { 1, 2 } } } do
        w[1].channel("x"):publish(value)
        for _, receiver in ipairs(receivers) do
          local got = receiver:recv()
          assert.same(value, got)
          if type(got) == "table" then got.a = nil end
        end
      end
      for _, receiver in ipairs(receivers) do receiver:close() end
    end)

    it("raises for what cannot be carried, and names it; too long a value is refused", function()
      local x = w[1].channel "x"
      assert.matches("channels_spec.lua:%d+: publish: a function cannot be shared",
        raised(function() x:publish(print) end))
      assert.matches("channels_spec.lua:%d+: send: nil cannot be shared", raised(function() x:send(nil) end))
      assert.matches("send: a cdata cannot be shared", raised(function() x:send(1LL) end))
      assert.matches("publish: a table that JSON cannot carry: .*function", raised(function() x:publish { print } end))
      assert.same({ nil, "too long" }, { x:publish(("x"):rep(256 * 1024)) })
      assert.equal(0, x:publish(("x"):rep(256 * 1024 - 1)))
      assert.matches("channels_spec.lua:%d+: bad argument #1 to 'channel'", raised(function() w[1].channel() end))
      assert.matches("option 'capacity' must be a whole number from 1 to 32768",
        raised(function() x:subscribe { capacity = 0 } end))
      assert.matches("bad argument #1 to 'publish' %(shared channel expected", raised(function() x.publish "y" end))
      local receiver = x:subscribe()
      assert.matches("bad argument #1 to 'recv' %(receiver expected", raised(function() receiver.recv(1) end))
      assert.matches("channels_spec.lua:%d+: bad argument #1 to 'recv' %(number of seconds expected, got NaN",
        raised(function() receiver:recv(0 / 0) end))
      receiver:close()
    end)

    it("tells a slow receiver in its order how much it has lost; the others lose nothing", function()
      local slow = assert(w[1].channel("x"):subscribe { capacity = 2 })
      local other = assert(w[2].channel("x"):subscribe())
      for i = 1, 5 do w[3].channel("x"):publish(i) end
      assert.equal(1, (slow:recv()))
      settle()
      assert.equal(3, slow:dropped())
      w[3].channel("x"):publish(6)
      assert.equal(2, (slow:recv()))
      assert.same({ nil, "dropped", 3 }, { slow:recv() })
      assert.equal(6, (slow:recv()))
      assert.same({ nil, "timeout" }, { slow:recv(0) })
      slow:close()
      other:close()
      assert.same({ 1, 2, 3, 4, 5, 6 }, rest(other))
    end)

    it("wakes a receiver that waits to tell it what was lost", function()
      local slow = assert(w[1].channel("x"):subscribe { capacity = 1 })
      for i = 1, 3 do w[2].channel("x"):publish(i) end
      local task = moonpark.go(function() return slow:recv(), select(2, slow:recv()) end)
      assert.same({ true, 1, "dropped", 2 }, { task:join() })
      slow:close()
    end)

    it("iterates with what was lost before each value", function()
      local slow = assert(w[1].channel("x"):subscribe { capacity = 1 })
      local got = {}
      local task = moonpark.go(function()
        for value, lost in slow:iter() do
          got[#got + 1] = { value, lost }
          settle()
        end
      end)
      w[2].channel("x"):publish "first"
      settle()
      for i = 1, 5 do w[2].channel("x"):publish(i) end
      for _ = 1, 5 do settle() end
      w[2].channel("x"):publish(false)
      for _ = 1, 3 do settle() end
      slow:close()
      assert(task:join())
      local sum, lost = 0, 0
      for _, each in ipairs(got) do
        sum = sum + 1
        lost = lost + each[2]
      end
      assert.equal(7, sum + lost)
      assert.is_true(lost > 0)
      assert.same("first", got[1][1])
      assert.same(false, got[#got][1])
    end)

    it("keeps at least as many messages as its capacity for a receiver", function()
      for _, capacity in ipairs { 1, 2, 3, 10, 256 } do
        local receiver = assert(w[1].channel("x"):subscribe { capacity = capacity })
        local sent, got = 0, 0
        for _ = 1, 3 do
          while sent - got < capacity do
            assert.equal(1, w[2].channel("x"):publish(sent))
            sent = sent + 1
          end
          for _ = 1, math.ceil(capacity / 3) do
            assert.equal(got, (receiver:recv()))
            got = got + 1
          end
          settle()
        end
        assert.equal(0, receiver:dropped())
        receiver:close()
        rest(receiver)
      end
    end)

    it("sends nothing to a receiver that is full, and says so when all are", function()
      local jobs = w[3].channel "jobs"
      local first = assert(w[1].channel("jobs"):subscribe { capacity = 1 })
      local second = assert(w[2].channel("jobs"):subscribe { capacity = 2 })
      for i = 1, 3 do assert(jobs:send(i)) end
      assert.same({ nil, "full" }, { jobs:send(4) })
      assert.equal(1, (first:recv()))
      settle()
      assert.is_true(jobs:send(5))
      assert.equal(0, first:dropped() + second:dropped())
      for _, receiver in ipairs { first, second } do receiver:close() end
      assert.same({ { 5 }, { 2, 3 } }, { rest(first), rest(second) })
    end)

    it("wakes all tasks that wait at a receiver when it is closed; closing twice is harmless", function()
      local receiver = assert(w[1].channel("x"):subscribe())
      local tasks = {}
      for i = 1, 3 do tasks[i] = moonpark.go(function() return receiver:recv() end) end
      settle()
      tasks[1]:cancel()
      assert.is_true(receiver:close())
      assert.is_true(receiver:close())
      assert.same({ true, nil, "canceled" }, { tasks[1]:join() })
      for i = 2, 3 do assert.same({ true, nil, "closed" }, { tasks[i]:join() }) end
      assert.equal(0, w[2].channel("x"):publish "nobody")
    end)

    it("gives each message to one of the tasks that wait at a receiver", function()
      local receiver = assert(w[1].channel("x"):subscribe())
      local sum, tasks = 0, {}
      for i = 1, 4 do
        tasks[i] = moonpark.go(function()
          for value in receiver:iter() do sum = sum + value end
        end)
      end
      for i = 1, 100 do w[2].channel("x"):publish(i) end
      receiver:close()
      for _, task in ipairs(tasks) do assert(task:join()) end
      assert.equal(5050, sum)
    end)

    it("receives within a time limit, and not in a cancelled task", function()
      testing.clock()
      local receiver = assert(w[1].channel("x"):subscribe())
      assert.same({ nil, "timeout" }, { receiver:recv(3) })
      w[2].channel("x"):publish "kept"
      local task = moonpark.go(function() return receiver:recv() end)
      task:cancel()
      assert.same({ true, nil, "canceled" }, { task:join() })
      assert.equal("kept", (receiver:recv(3)))
      task = moonpark.go(function() return w[1].channel("x"):publish "nothing" end)
      task:cancel()
      assert.same({ true, nil, "canceled" }, { task:join() })
      task = moonpark.go(function() return w[1].channel("y"):subscribe() end)
      task:cancel()
      assert.same({ true, nil, "canceled" }, { task:join() })
      assert.same({ nil, "timeout" }, { receiver:recv(0) })
      receiver:close()
    end)

    it(("loses and doubles nothing of what it sends to one of many (RANDOM_SEED=%d)"):format(random.seed), function()
      testing.clock()
      local dice, got, receivers, tasks = random.new(), {}, {}, {}
      for i = 1, 6 do
        receivers[i] = assert(w[i % 3 + 1].channel("jobs"):subscribe { capacity = dice(8) })
        tasks[i] = moonpark.go(function()
          for value in receivers[i]:iter() do
            assert(not got[value], "twice")
            got[value] = true
            moonpark.sleep(dice() * 0.1)
          end
        end)
      end
      for i = 1, 200 do
        local sent, err = w[dice(3)].channel("jobs"):send(i)
        while not sent do
          assert.equal("full", err)
          moonpark.sleep(0.01)
          sent, err = w[dice(3)].channel("jobs"):send(i)
        end
        if i == 100 then receivers[1]:close() end
      end
      for _, receiver in ipairs(receivers) do receiver:close() end
      for _, task in ipairs(tasks) do assert(task:join()) end
      for i = 1, 200 do assert.is_true(got[i], i) end
    end)
  end)
end

describe("a shared channel", function()
  it("passes by a worker that has died, and ends for it", function()
    local w = shared.workers(2)
    local dead = assert(w[1].channel("x"):subscribe())
    local alive = assert(w[2].channel("x"):subscribe())
    assert.equal(2, w[2].channel("x"):publish "both")
    settle()
    local waiting = moonpark.go(function() return dead:recv(), select(2, dead:recv()) end)
    settle()
    w[1].die()
    assert.same({ true, "both", "broken pipe" }, { waiting:join() })
    assert.same({ nil, "broken pipe" }, { w[1].channel("x"):publish "late" })
    assert.same({ nil, "broken pipe" }, { w[1].channel("x"):subscribe() })
    assert.equal(1, w[2].channel("x"):publish "one")
    assert.equal("both", (alive:recv()))
    assert.equal("one", (alive:recv()))
    assert.equal(0, w[1].outside + w[2].outside)
    alive:close()
    w.close()
  end)

  it("tells the loop that messages come from outside, while a task waits for them", function()
    local w = shared.workers(1)
    local receiver = assert(w[1].channel("x"):subscribe())
    assert.equal(0, w[1].outside)
    local waiting = moonpark.go(function() return receiver:recv() end)
    settle()
    assert.equal(1, w[1].outside)
    assert.matches('parked in recv on shared channel "x"', moonpark.dump())
    waiting:cancel()
    waiting:join()
    assert.equal(0, w[1].outside)
    receiver:close()
    w.close()
  end)

  it("says what it is", function()
    local w = shared.one_process(1)
    local receiver = assert(w[1].channel("x"):subscribe())
    assert.equal('shared channel "x"', tostring(w[1].channel "x"))
    assert.equal('receiver of shared channel "x"', tostring(receiver))
    local held = w[1].lock "x"
    assert.equal('shared lock "x"', tostring(held))
    held:unlock()
    receiver:close()
  end)
end)
