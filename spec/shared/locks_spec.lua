-- SPDX-License-Identifier: MIT
-- Locks of moonpark.shared, in one process and between several: order, time limits, cancelling against granting,
-- deaths, deadlocks, misuse.

local moonpark = require "moonpark"
local random = require "support.random"
local shared = require "support.coordination"
local testing = require "moonpark.testing"

local settle = shared.settle

-- The error that fn raises: it must not call in tail position, or its line is lost.
local function raised(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return err
end

for where, start in pairs(shared.worlds) do
  describe("a shared lock " .. where, function()
    local w

    before_each(function() w = start(3) end)
    after_each(function() w.close() end)

    it("lets one task in at a time, in the order in which they came", function()
      local inside, most, order = 0, 0, {}
      moonpark.scope(function(scope)
        for i = 1, 6 do
          scope:go(function()
            local held = assert(w[i % 3 + 1].lock "x")
            inside = inside + 1
            most = math.max(most, inside)
            order[#order + 1] = i
            settle()
            inside = inside - 1
            held:unlock()
          end)
          settle()
        end
      end)
      assert.equal(1, most)
      assert.same({ 1, 2, 3, 4, 5, 6 }, order)
    end)

    it("is held by name: others are free", function()
      local held = assert(w[1].lock "x")
      local other = assert(w[1].lock "\0 y")
      assert.same({ true, nil, "timeout" }, { moonpark.go(function() return w[2].try_lock "x" end):join() })
      held:unlock()
      local again = assert(w[2].try_lock "x")
      again:unlock()
      other:unlock()
    end)

    it("is not left with a waiter that timed out or was cancelled", function()
      testing.clock()
      local held, results = assert(w[1].lock "x"), {}
      local waiting = moonpark.go(function() results[1] = { w[2].lock("x", 5) } end)
      local canceled = moonpark.go(function() results[2] = { w[3].lock "x" } end)
      local third = moonpark.go(function() results[3] = { moonpark.timeout(2, w[3].lock, "x") } end)
      settle()
      canceled:cancel()
      waiting:join()
      canceled:join()
      third:join()
      assert.same({ { nil, "timeout" }, { nil, "canceled" }, { nil, "timeout" } }, results)
      held:unlock()
      settle()
      local free = assert(w[1].try_lock "x")
      free:unlock()
    end)

    it("does not wait with a timeout of 0 or less", function()
      local held = assert(w[1].lock("x", 0))
      local function try(timeout) return moonpark.go(function() return w[2].lock("x", timeout) end):join() end
      assert.same({ true, nil, "timeout" }, { try(0) })
      assert.same({ true, nil, "timeout" }, { try(-1) })
      held:unlock()
    end)

    it("is refused in a cancelled task, even if it is free", function()
      local task = moonpark.go(function() return w[1].lock "x" end)
      task:cancel()
      assert.same({ true, nil, "canceled" }, { task:join() })
      local held = assert(w[1].try_lock "x")
      held:unlock()
    end)

    it(("is given back if its task is cancelled while the grant is on its way (RANDOM_SEED=%d)"):format(random.seed),
    function()
      local dice = random.new()
      for _ = 1, 20 do
        local held = assert(w[1].lock "x")
        local task = moonpark.go(function()
          local mine, err = w[2].lock "x"
          if mine then mine:unlock() end
          return err
        end)
        settle()
        held:unlock()
        for _ = 1, dice(0, 40) do moonpark.yield() end
        task:cancel()
        task:join()
        local free = assert(w[3].lock "x")
        free:unlock()
      end
    end)

    it("raises when its task locks it again, but is another task's to wait for", function()
      local held = assert(w[1].lock "x")
      assert.matches("locks_spec.lua:%d+: lock 'x' is already locked by this task",
        raised(function() w[1].lock "x" end))
      assert.matches("already locked by this task", raised(function() w[1].try_lock "x" end))
      assert.matches("already locked by this task", raised(function() w[1].locked("x", print) end))
      local other = moonpark.go(function() return w[1].try_lock "x" end)
      assert.same({ true, nil, "timeout" }, { other:join() })
      held:unlock()
    end)

    it("is unlocked once, by any task", function()
      local held = assert(w[1].lock "x")
      assert(moonpark.go(function() held:unlock() end):join())
      assert.matches("locks_spec.lua:%d+: lock 'x' has been unlocked already", raised(function() held:unlock() end))
      local again = assert(w[1].lock "x")
      assert.matches("lock 'x' has been unlocked already", raised(function() held:unlock() end))
      again:unlock()
      assert.matches("bad argument #1 to 'unlock'", raised(function() held.unlock() end))
    end)

    it("stays locked when its task has ended", function()
      local _, held = moonpark.go(function() return w[1].lock "x" end):join()
      settle()
      assert.same({ nil, "timeout" }, { w[2].try_lock "x" })
      held:unlock()
    end)

    it("is held around a function by `locked`, however that ends", function()
      assert.same({ true, 1, nil, 3 }, { w[1].locked("x", function()
        assert.same({ true, nil, "timeout" }, { moonpark.go(function() return w[2].try_lock "x" end):join() })
        return 1, nil, 3
      end) })
      local ok, err = pcall(w[1].locked, "x", function() error { "mine" } end)
      assert.same({ false, { "mine" } }, { ok, err })
      local task = moonpark.go(function() w[2].locked("x", function() assert(moonpark.sleep(100)) end) end)
      settle()
      assert.same({ nil, "timeout" }, { w[1].locked("x", error, 0) })
      task:cancel()
      task:join()
      assert.same({ true }, { w[3].locked("x", function() end) })
    end)

    it("raises for what is no name, no time and no function", function()
      assert.matches("locks_spec.lua:%d+: bad argument #1 to 'lock' %(name expected",
        raised(function() w[1].lock() end))
      assert.matches("bad argument #1 to 'try_lock' %(a name has 1 to 255 bytes",
        raised(function() w[1].try_lock "" end))
      assert.matches("a name has 1 to 255 bytes, not 256", raised(function() w[1].lock(("x"):rep(256)) end))
      assert.matches("locks_spec.lua:%d+: bad argument #2 to 'lock'", raised(function() w[1].lock("x", "y") end))
      assert.matches("number of seconds expected, got NaN", raised(function() w[1].lock("x", 0 / 0) end))
      assert.matches("bad argument #2 to 'locked' %(function expected", raised(function() w[1].locked("x", 5) end))
    end)

    it("is not lost to a task that cannot wait where it stands", function()
      local held = assert(w[1].lock "x")
      local function sort()
        table.sort({ 3, 2, 1 }, function()
          local mine = w[2].lock "x"
          return mine ~= nil
        end)
      end
      assert(moonpark.go(function() assert.matches("locks_spec.lua:%d+: cannot wait here", raised(sort)) end):join())
      held:unlock()
      local free = assert(w[3].lock "x")
      free:unlock()
    end)

    it(("is whole after many tasks that came, waited and gave up (RANDOM_SEED=%d)"):format(random.seed), function()
      testing.clock()
      local dice = random.new()
      local inside, got, gave_up, tasks = 0, 0, 0, {}
      for i = 1, 200 do
        tasks[i] = moonpark.go(function()
          moonpark.sleep(dice(0, 30))
          local held = w[dice(3)].lock("x", dice(3) == 1 and dice(0, 4) or nil)
          if not held then
            gave_up = gave_up + 1
            return
          end
          inside = inside + 1
          assert(inside == 1, "two at once")
          got = got + 1
          moonpark.sleep(dice() * 0.4)
          inside = inside - 1
          held:unlock()
        end)
      end
      for _ = 1, 60 do
        moonpark.sleep(0.5)
        tasks[dice(#tasks)]:cancel()
      end
      for _, task in ipairs(tasks) do assert(task:join()) end
      assert.equal(200, got + gave_up)
      assert.is_true(got > 20)
      local free = assert(w[1].lock "x")
      free:unlock()
    end)
  end)
end

describe("a shared lock", function()
  it("goes to the next one when the worker that has it dies", function()
    local w = shared.workers(3)
    local held = assert(w[1].lock "x")
    local second = moonpark.go(function() return w[2].lock "x" end)
    settle()
    w[1].die()
    local _, mine = assert(second:join())
    mine:unlock()
    assert.has_no.errors(function() held:unlock() end)
    assert.same({ nil, "broken pipe" }, { w[1].lock "y" })
    w.close()
  end)

  it("is still held, waited for and passed on after the supervisor has been replaced by another one", function()
    local w = shared.workers(3)
    local held = assert(w[1].lock "x")
    local tasks = {}
    for i = 2, 3 do
      tasks[i] = moonpark.go(function() return w[i].lock "x" end)
      settle()
    end
    w.restart()
    assert.same({ nil, "timeout" }, { w[3].try_lock "x" })
    held:unlock()
    local _, second = tasks[2]:join()
    w.restart()
    second:unlock()
    local _, third = tasks[3]:join()
    third:unlock()
    w.close()
  end)

  it(("has one holder that is alive, through deaths and restarts (RANDOM_SEED=%d)"):format(random.seed), function()
    testing.clock()
    local dice, w, holder, tasks, got = random.new(), shared.workers(3), nil, {}, 0
    local function work(worker)
      while not worker.dead and moonpark.sleep(dice() * 2) do
        local held = worker.lock("x", dice(3) == 1 and dice() or nil)
        if held and not worker.dead then
          assert(holder == nil or holder.dead, "two at once")
          holder, got = worker, got + 1
          moonpark.sleep(dice() * 0.2)
          if not worker.dead then holder = nil end
          held:unlock()
        end
      end
    end
    local function start_tasks(worker)
      for _ = 1, 3 do tasks[#tasks + 1] = moonpark.go(work, worker) end
    end
    for _, worker in ipairs(w) do start_tasks(worker) end
    for i = 1, 40 do
      moonpark.sleep(dice())
      if dice(2) == 1 then w.restart() end
      if i % 2 == 0 then
        local worker = w[dice(#w)]
        if not worker.dead then worker.die() end
        start_tasks(w.add())
      end
    end
    w.close()
    for _, task in ipairs(tasks) do
      task:cancel()
      assert(task:join())
    end
    assert.is_true(got > 50, "hardly anybody got it")
  end)

  it("is asked for in bursts that the broker confirms, so that a link never holds more", function()
    local clients, own = require "moonpark.shared.client", require("moonpark.shared.broker").new()
    local client, sent, most, at_broker = clients.new(), {}, 0, {}
    function at_broker.send(_, message) client:receive(message) end
    own:join(at_broker)
    client:connect(function(message)
      sent[#sent + 1] = message
      most = math.max(most, #sent)
    end)
    local lock, tasks = shared.functions_of(client).lock, {}
    for i = 1, 5000 do
      tasks[i] = moonpark.go(function()
        local held = assert(lock "x")
        held:unlock()
      end)
    end
    while #tasks > 0 do
      moonpark.yield()
      local taken = sent
      sent = {}
      for _, message in ipairs(taken) do assert(own:handle(at_broker, message)) end
      while tasks[1] and tasks[#tasks]:status() == "done" do table.remove(tasks) end
    end
    assert.equal(1025, most)
    assert.same({}, client.open)
  end)

  it("fails for those that wait when the link to the broker ends", function()
    local w = shared.workers(2)
    local held = assert(w[1].lock "x")
    local waiting = moonpark.go(function() return w[2].lock "x" end)
    settle()
    w[2].die()
    assert.same({ true, nil, "broken pipe" }, { waiting:join() })
    held:unlock()
    w.close()
  end)

  it("tells the loop that what it waits for comes from outside, for just as long", function()
    local w = shared.workers(2)
    local held = assert(w[1].lock "x")
    assert.equal(0, w[1].outside)
    local waiting = moonpark.go(function() return w[2].lock "x" end)
    local canceled = moonpark.go(function() return w[2].lock "x" end)
    settle()
    assert.equal(2, w[2].outside)
    canceled:cancel()
    canceled:join()
    assert.equal(1, w[2].outside)
    held:unlock()
    local _, mine = waiting:join()
    assert.equal(0, w[2].outside)
    mine:unlock()
    w.close()
  end)

  it("is named in the dump, with the task that has it", function()
    local w = shared.one_process(1)
    local held = assert(w[1].lock "x")
    local waiting = moonpark.go(function()
      local mine = w[1].lock("x", 1000)
      return mine
    end)
    settle()
    assert.matches(("parked in lock on shared lock \"x\", held by task %d, [%%d.e-]+ s, deadline in"):format(
      moonpark.current():id()), moonpark.dump())
    waiting:cancel()
    waiting:join()
    held:unlock()
    local far = shared.workers(2)
    held = assert(far[1].lock "x")
    waiting = moonpark.go(function() return far[2].lock "x" end)
    settle()
    assert.matches("parked in lock on shared lock \"x\", held by another process", moonpark.dump())
    waiting:cancel()
    held:unlock()
    far.close()
  end)

  it("must be taken in a task; a deadlock is reported with the locks and the tasks that have them", function()
    local script = [[
      local moonpark = require "moonpark"
      local shared = require "moonpark.shared"
      print(select(2, pcall(shared.lock, "x")))
      moonpark.run(function()
        local left = moonpark.go(function()
          shared.lock "a"
          moonpark.yield()
          shared.lock "b"
        end)
        local right = moonpark.go(function()
          shared.lock "b"
          moonpark.yield()
          shared.lock "a"
        end)
        left:join()
      end)
    ]]
    local ended = require("support.alive").run_script(script)
    assert.matches("must be called in a task", ended.out)
    assert.matches("deadlock: all 3 tasks are parked", ended.err)
    assert.matches('task 2 waits in lock on shared lock "b", held by task 3', ended.err)
    assert.matches('task 3 waits in lock on shared lock "a", held by task 2', ended.err)
    assert.equal(1, ended.status)
  end)
end)
