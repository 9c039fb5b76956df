-- SPDX-License-Identifier: MIT
-- sched_spec.lua - tasks without anything that runs them: states, parking, waking, cancelling, scopes.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

require("jit").off(true, true) -- `undo` is called back from C, which compiled code must not do

local C = ffi.C
local READY, RUNNING, PARKED, DONE = C.TASK_READY, C.TASK_RUNNING, C.TASK_PARKED, C.TASK_DONE
local OUTSIDE, SHIELDED = C.WAIT_OUTSIDE, C.WAIT_SHIELDED
local TIMEOUT, CANCELED, CLOSED = C.ERR_TIMEOUT, C.ERR_CANCELED, C.ERR_CLOSED

local undone -- what `undo` saw
local function note(t)
  undone[#undone + 1] = { id = tonumber(t.id), state = t.state, outside = t.sched.outside }
end
local undo = ffi.cast("void (*)(struct task *)", note)
local plain = ffi.new("struct wait_kind", { name = "plain" })
local watched = ffi.new("struct wait_kind", { name = "watched", undo = undo })

describe("sched", function()
  local w, s

  before_each(function()
    undone = {}
    undo:set(note)
    w = units.world()
    s = w.sched
  end)

  after_each(function() w.close() end)

  local function park(t, flags, deadline, kind)
    local r = lib.sched_park(t, kind or plain, nil, deadline or 0, flags or 0)
    if r == 0 then w.parked() end
    return r
  end

  local function parked_task(flags, deadline, kind, parent)
    local t = w.running(parent)
    assert.equal(0, park(t, flags, deadline, kind))
    return t
  end

  -- The task runs with that result of its wait, and ends.
  local function goes_on(t, result)
    assert.equal(t, w.turn())
    assert.equal(result, t.wait.result)
    lib.sched_finish(t)
  end

  describe("a task", function()
    it("is ready, runs, parks, is ready again, runs, and is done", function()
      local t = w.task()
      assert.equal(READY, t.state)
      assert.equal(t, w.turn())
      assert.equal(RUNNING, t.state)
      assert.equal(0, park(t, OUTSIDE))
      assert.equal(PARKED, t.state)
      lib.sched_wake(t, 0)
      assert.equal(READY, t.state)
      w.turn()
      assert.equal(RUNNING, t.state)
      lib.sched_finish(t)
      assert.equal(DONE, t.state)
    end)

    it("has a number that no other has, and knows who started it", function()
      local a = w.running()
      local b, c = w.task(), w.task()
      assert.equal(0, tonumber(a.creator))
      assert.equal(a.id, b.creator)
      assert.is_true(a.id < b.id and b.id < c.id)
      lib.sched_finish(a)
      w.finish_ready()
    end)

    it("counts as alive until it is done", function()
      local t = w.running()
      assert.equal(1, s.alive)
      lib.sched_finish(t)
      assert.equal(0, s.alive)
    end)

    it("gets its share of operations anew each time it runs", function()
      local t = w.running()
      t.budget = 0
      lib.sched_give_way(t)
      w.parked()
      assert.equal(t, w.turn())
      assert.equal(lib.limits.operations, t.budget)
      lib.sched_finish(t)
    end)
  end)

  describe("the ready queue", function()
    it("is empty at first", function() assert.is_nil(w.turn()) end)

    it("is first in, first out", function()
      local tasks = {}
      for i = 1, 10 do tasks[i] = w.task() end
      for i = 1, 10 do
        assert.equal(tasks[i], w.turn())
        lib.sched_finish(tasks[i])
      end
    end)

    it("takes one that yields at its end, so all get their turn", function()
      local order = {}
      for _ = 1, 3 do w.task() end
      for _ = 1, 9 do
        local t = w.turn()
        order[#order + 1] = tonumber(t.id)
        lib.sched_give_way(t)
        w.parked()
      end
      assert.same({ 1, 2, 3, 1, 2, 3, 1, 2, 3 }, order)
      w.finish_ready()
    end)

    it("takes one whose operation goes on at its end, ready and with no failure", function()
      local a = w.running()
      local b = w.task()
      a.wait.result = -5
      assert.equal(C.SCHED_PARKED, lib.sched_again(a, plain, nil))
      w.parked()
      assert.equal(b, w.turn())
      lib.sched_finish(b)
      goes_on(a, 0)
    end)

    it("takes those that are woken in the order of their wakes", function()
      local a, b = parked_task(OUTSIDE), parked_task(OUTSIDE)
      lib.sched_wake(b, 2)
      lib.sched_wake(a, 1)
      goes_on(b, 2)
      goes_on(a, 1)
    end)
  end)

  describe("parking", function()
    it("notes on what, since when, and nothing of the wait before", function()
      local t, object = w.running(), ffi.new("int[1]")
      t.wait.result, t.wait.index = -9, 3
      s.now = 4711
      assert.equal(0, lib.sched_park(t, plain, object, 0, OUTSIDE))
      w.parked()
      assert.equal(4711LL, t.wait.since)
      assert.is_true(t.wait.object == ffi.cast("void *", object))
      assert.is_true(t.wait.kind == ffi.cast("struct wait_kind *", plain))
      assert.equal(0, t.wait.result)
      assert.equal(0, t.wait.index)
      lib.sched_wake(t, 0)
      goes_on(t, 0)
    end)

    it("ends with what the waker says, and which of several it was", function()
      local t = parked_task(OUTSIDE)
      t.wait.self.index = 3
      lib.sched_wake_waiter(t.wait.self, -32)
      assert.equal(3, t.wait.index)
      goes_on(t, -32)
    end)

    it("is undone by every wake, before anybody runs", function()
      local woken = parked_task(OUTSIDE, 0, watched)
      local late = parked_task(0, 2000, watched)
      local canceled = parked_task(OUTSIDE, 0, watched)
      lib.sched_wake(woken, 0)
      w.at(2000)
      lib.sched_cancel(canceled)
      assert.same({ 1, 2, 3 }, { undone[1].id, undone[2].id, undone[3].id })
      goes_on(woken, 0)
      goes_on(late, TIMEOUT)
      goes_on(canceled, CANCELED)
      assert.equal(3, #undone)
    end)

    it("may be repeated without limit", function()
      local t = w.running()
      for i = 1, 100 do
        assert.equal(0, park(t, OUTSIDE, 5000))
        lib.sched_wake(t, i)
        assert.equal(t, w.turn())
        assert.equal(i, t.wait.result)
      end
      lib.sched_finish(t)
    end)

    it("breaks a promise where the task does not run", function()
      local said = units.dying [[
        local w = units.world()
        local t = w.task()
        lib.sched_park(t, ffi.new("struct wait_kind"), nil, 0, 0)
      ]]
      assert.matches("assertion failed: t->state == TASK_RUNNING", said, 1, true)
    end)

    it("breaks a promise where one that is not parked is woken", function()
      local said = units.dying "local w = units.world() lib.sched_wake(w.running(), 0)"
      assert.matches("assertion failed: t->state == TASK_PARKED", said, 1, true)
    end)
  end)

  describe("a wait's deadline", function()
    it("ends it with a timeout", function()
      local t = parked_task(0, 2000)
      w.at(1999)
      assert.equal(PARKED, t.state)
      w.at(2000)
      goes_on(t, TIMEOUT)
    end)

    it("is disarmed when something else ends it", function()
      local t = parked_task(0, 2000)
      lib.sched_wake(t, 5)
      assert.equal(0, units.armed(w.timers))
      w.at(3000)
      goes_on(t, 5)
    end)

    it("that has passed refuses it, and the task runs on", function()
      local t = w.running()
      assert.equal(TIMEOUT, park(t, 0, -1))
      assert.equal(RUNNING, t.state)
      assert.equal(0, units.armed(w.timers))
      lib.sched_finish(t)
    end)

    if units.hard then
      it("for which there is no memory refuses it, and the task runs on", function()
        local t = w.running()
        lib.hard_fail_alloc(1)
        assert.equal(-units.ENOMEM, park(t, OUTSIDE, 2000))
        lib.hard_fail_alloc(0)
        assert.equal(RUNNING, t.state)
        assert.equal(0, s.outside)
        lib.sched_finish(t)
      end)
    end
  end)

  describe("the count of those that wait for the outside", function()
    it("takes in descriptors and deadlines, once each", function()
      local a, b, c = parked_task(OUTSIDE), parked_task(0, 2000), parked_task(OUTSIDE, 2000)
      assert.equal(3, s.outside)
      for _, t in ipairs { a, b, c } do lib.sched_wake(t, 0) end
      assert.equal(0, s.outside)
      w.finish_ready()
    end)

    it("leaves out those that only another task can wake", function()
      local t = parked_task(0)
      assert.equal(0, s.outside)
      lib.sched_wake(t, 0)
      w.finish_ready()
    end)

    it("goes down only after the task is in the ready queue", function()
      local t = parked_task(OUTSIDE, 0, watched)
      lib.sched_wake(t, 0)
      assert.equal(1, undone[1].outside)
      assert.equal(0, s.outside)
      w.finish_ready()
    end)

    it("follows a deadline that comes and goes", function()
      local t = parked_task(0)
      lib.sched_set_outside(t, true)
      lib.sched_set_outside(t, true)
      assert.equal(1, s.outside)
      lib.sched_set_outside(t, false)
      assert.equal(0, s.outside)
      lib.sched_set_outside(t, true)
      lib.sched_wake(t, 0)
      assert.equal(0, s.outside)
      w.finish_ready()
    end)

    it("takes in a scope's timer while it is armed", function()
      local t = w.running()
      local sc = lib.sched_scope_open(t, false)
      assert.equal(0, lib.sched_scope_deadline(sc, 2000))
      assert.equal(0, lib.sched_scope_deadline(sc, 3000))
      assert.equal(1, s.outside)
      lib.sched_scope_close(sc)
      assert.equal(0, s.outside)
      lib.sched_finish(t)
    end)
  end)

  describe("cancelling a task", function()
    it("ends its wait", function()
      local t = parked_task(OUTSIDE, 2000)
      lib.sched_cancel(t)
      assert.equal(0, units.armed(w.timers))
      goes_on(t, CANCELED)
    end)

    it("refuses every later wait, and the task runs on", function()
      local t = w.running()
      lib.sched_cancel(t)
      for _ = 1, 3 do
        assert.equal(CANCELED, park(t, OUTSIDE))
        assert.equal(RUNNING, t.state)
      end
      assert.equal(0, s.outside)
      lib.sched_finish(t)
    end)

    it("before it ran refuses its first wait", function()
      local t = w.task()
      lib.sched_cancel(t)
      assert.equal(t, w.turn())
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_finish(t)
    end)

    it("does not touch a wait that has been ended already", function()
      local t = parked_task(OUTSIDE)
      lib.sched_wake(t, 7)
      lib.sched_cancel(t)
      goes_on(t, 7)
    end)

    it("is heard only after a shielded wait has ended by itself", function()
      local t = parked_task(OUTSIDE + SHIELDED)
      lib.sched_cancel(t)
      assert.equal(PARKED, t.state)
      lib.sched_wake(t, 0)
      assert.equal(t, w.turn())
      assert.equal(0, park(t, OUTSIDE + SHIELDED))
      lib.sched_wake(t, 0)
      assert.equal(t, w.turn())
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_finish(t)
    end)

    it("twice, or after it ended, is harmless", function()
      local t = parked_task(OUTSIDE)
      lib.sched_cancel(t)
      lib.sched_cancel(t)
      goes_on(t, CANCELED)
      lib.sched_cancel(t)
      assert.equal(DONE, t.state)
    end)

    it("never changes a deadline", function()
      local t = parked_task(0, 2000)
      local other = parked_task(0, 2000)
      lib.sched_cancel(t)
      goes_on(t, CANCELED)
      w.at(2000)
      goes_on(other, TIMEOUT)
    end)
  end)

  describe("a scope", function()
    local t, sc

    before_each(function()
      t = w.running()
      sc = lib.sched_scope_open(t, false)
    end)

    it("is cancelled alone: waits inside are refused, later ones are not", function()
      lib.sched_scope_cancel(sc)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_scope_close(sc)
      assert.equal(0, park(t, OUTSIDE))
      lib.sched_wake(t, 0)
      goes_on(t, 0)
    end)

    it("notes whether a wait was refused or ended because of it", function()
      lib.sched_scope_cancel(sc)
      assert.is_false(sc.delivered)
      park(t, OUTSIDE)
      assert.is_true(sc.delivered)
      lib.sched_finish(t)
    end)

    it("is cancelled by its timer, which ends the wait inside", function()
      lib.sched_scope_deadline(sc, 2000)
      park(t)
      w.at(2000)
      assert.is_true(sc.delivered)
      assert.equal(0, s.outside)
      goes_on(t, CANCELED)
    end)

    it("inside a cancelled one is cancelled too, and the outer one is to blame", function()
      local inner = lib.sched_scope_open(t, false)
      lib.sched_scope_cancel(sc)
      assert.equal(CANCELED, park(t, OUTSIDE))
      assert.is_true(sc.delivered)
      assert.is_false(inner.delivered)
      lib.sched_finish(t)
    end)

    it("around a cancelled one is not", function()
      local inner = lib.sched_scope_open(t, false)
      lib.sched_scope_cancel(inner)
      lib.sched_scope_close(inner)
      assert.equal(0, park(t, OUTSIDE))
      lib.sched_wake(t, 0)
      goes_on(t, 0)
    end)

    it("may be closed in any order", function()
      local middle = lib.sched_scope_open(t, false)
      local inner = lib.sched_scope_open(t, false)
      lib.sched_scope_close(middle)
      lib.sched_scope_cancel(inner)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_scope_close(sc)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_scope_close(inner)
      assert.is_true(t.scope == nil)
      assert.is_false(lib.sched_canceled(t))
      lib.sched_finish(t)
    end)

    it("tells its holder when it is closed, and is closed when its task ends", function()
      local handle = ffi.new("struct scope *[1]", { sc })
      sc.handle = handle
      lib.sched_scope_deadline(sc, 2000)
      lib.sched_finish(t)
      assert.is_true(handle[0] == nil)
      assert.equal(0, units.armed(w.timers))
    end)

    it("cancels the tasks started in it, and their tasks in turn", function()
      local child = w.task(sc)
      park(t, OUTSIDE)
      assert.equal(child, w.turn())
      local inner = lib.sched_scope_open(child, false)
      local grandchild = w.task(inner)
      park(child, OUTSIDE)
      w.turn()
      park(grandchild, OUTSIDE)
      local stranger = parked_task(OUTSIDE)
      lib.sched_scope_cancel(sc)
      assert.is_true(child.canceled and grandchild.canceled)
      assert.is_false(stranger.canceled)
      assert.is_false(t.canceled)
      assert.equal(PARKED, stranger.state)
      lib.sched_wake(stranger, 0)
      w.finish_ready()
    end)

    it("does not cancel the tasks of a scope around it", function()
      local sibling = w.task(sc)
      local inner = lib.sched_scope_open(t, false)
      local child = w.task(inner)
      lib.sched_scope_cancel(inner)
      assert.is_true(child.canceled)
      assert.is_false(sibling.canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("that is cancelled gives birth to cancelled tasks", function()
      lib.sched_scope_cancel(sc)
      local child = w.task(sc)
      assert.is_true(child.canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("inside a cancelled one, or of a cancelled task, gives birth to cancelled tasks too", function()
      local inner = lib.sched_scope_open(t, false)
      lib.sched_scope_cancel(sc)
      local one = w.task(inner)
      assert.is_true(one.canceled)
      lib.sched_scope_close(sc)
      assert.is_false(w.task(inner).canceled)
      lib.sched_cancel(t)
      assert.is_true(w.task(inner).canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("inside a shield gives birth to tasks that are not", function()
      local shield = lib.sched_scope_open(t, true)
      local inner = lib.sched_scope_open(t, false)
      lib.sched_cancel(t)
      lib.sched_scope_cancel(sc)
      assert.is_false(w.task(inner).canceled)
      lib.sched_scope_cancel(shield)
      assert.is_true(w.task(inner).canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("lets its children go on without it when it is closed before they end", function()
      local child = w.task(sc)
      lib.sched_scope_close(sc)
      assert.is_true(child.parent == nil)
      lib.sched_cancel(t)
      assert.is_false(child.canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("is joined at once where it has no children", function()
      assert.equal(0, lib.sched_scope_join(sc))
      assert.equal(RUNNING, t.state)
      lib.sched_finish(t)
    end)

    it("is joined when the last of its children has ended", function()
      local a, b = w.task(sc), w.task(sc)
      assert.equal(C.SCHED_PARKED, lib.sched_scope_join(sc))
      w.parked()
      assert.equal(a, w.turn())
      lib.sched_finish(a)
      assert.equal(PARKED, t.state)
      assert.equal(b, w.turn())
      lib.sched_finish(b)
      assert.is_false(sc.joining)
      goes_on(t, 0)
    end)

    it("is joined until the child that came after the last one's end has ended too", function()
      local first = w.task(sc)
      lib.sched_scope_join(sc)
      w.parked()
      w.turn()
      lib.sched_finish(first)
      local late = w.task(sc)
      assert.equal(t, w.turn())
      assert.equal(C.SCHED_PARKED, t.wait.kind.attempt(t))
      w.parked()
      assert.equal(late, w.turn())
      lib.sched_finish(late)
      goes_on(t, 0)
    end)

    it("lets its task go when it is closed under a join", function()
      local child = w.task(sc)
      lib.sched_scope_join(sc)
      w.parked()
      assert.is_true(lib.sched_scope_joined(sc))
      lib.sched_scope_close(sc)
      assert.equal(READY, t.state)
      assert.is_true(child.parent == nil)
      assert.equal(child, w.turn())
      lib.sched_finish(child)
      goes_on(t, CLOSED)
    end)

    it("cancels its children and not its task when it is abandoned", function()
      local child = w.task(sc)
      park(t, OUTSIDE)
      w.turn()
      park(child, OUTSIDE)
      lib.sched_scope_abandon(sc)
      assert.equal(PARKED, t.state)
      goes_on(child, CANCELED)
      lib.sched_wake(t, 0)
      goes_on(t, 0)
    end)

    it("is joined to the end though its task is cancelled: the children are cancelled and end first", function()
      local child = w.task(sc)
      lib.sched_scope_join(sc)
      w.parked()
      w.turn()
      park(child, OUTSIDE)
      lib.sched_cancel(t)
      assert.equal(PARKED, t.state)
      goes_on(child, CANCELED)
      goes_on(t, 0)
    end)

    if units.hard then
      it("is NULL where there is no memory for it", function()
        lib.hard_fail_alloc(1)
        assert.is_true(lib.sched_scope_open(t, false) == nil)
        lib.hard_fail_alloc(0)
        assert.is_true(t.scope == sc)
        lib.sched_finish(t)
      end)
    end
  end)

  describe("a shield", function()
    local t, outer, shield

    before_each(function()
      t = w.running()
      outer = lib.sched_scope_open(t, false)
      shield = lib.sched_scope_open(t, true)
    end)

    it("keeps out the cancelling of its task and of scopes around it", function()
      park(t, OUTSIDE)
      lib.sched_cancel(t)
      lib.sched_scope_cancel(outer)
      assert.equal(PARKED, t.state)
      lib.sched_wake(t, 0)
      assert.equal(t, w.turn())
      assert.equal(0, park(t, OUTSIDE))
      lib.sched_wake(t, 0)
      assert.equal(t, w.turn())
      lib.sched_scope_close(shield)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_finish(t)
    end)

    it("does not keep out the cancelling of scopes inside it", function()
      local inner = lib.sched_scope_open(t, false)
      lib.sched_scope_cancel(inner)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_finish(t)
    end)

    it("protects the tasks of scopes inside it, not those of scopes around it", function()
      local inner = lib.sched_scope_open(t, false)
      local protected, exposed = w.task(inner), w.task(outer)
      lib.sched_cancel(t)
      assert.is_false(protected.canceled)
      assert.is_true(exposed.canceled)
      lib.sched_finish(t)
      w.finish_ready()
    end)

    it("that is cancelled itself cancels what is inside it and nothing around it", function()
      local inner = lib.sched_scope_open(t, false)
      local inside, around = w.task(inner), w.task(outer)
      lib.sched_scope_cancel(shield)
      assert.is_true(inside.canceled)
      assert.is_false(around.canceled)
      assert.equal(CANCELED, park(t, OUTSIDE))
      lib.sched_finish(t)
      w.finish_ready()
    end)
  end)

  describe("joiners", function()
    it("are woken when the task ends, in the order they came", function()
      local target = parked_task(OUTSIDE)
      local a, b = parked_task(0), parked_task(0)
      -- as the join of a script does it: parked, in the list, and out of it by undo
      for _, t in ipairs { a, b } do units.list_push(target.joiners, t.wait.self.link) end
      lib.sched_wake(target, 0)
      assert.equal(target, w.turn())
      a.wait.kind, b.wait.kind = watched, watched
      undo:set(function(t)
        local link = t.wait.self.link
        link.prev.next, link.next.prev = link.next, link.prev
        units.list_init(link)
      end)
      lib.sched_finish(target)
      goes_on(a, 0)
      goes_on(b, 0)
    end)
  end)

  it("cancels a chain of scopes and tasks that is deeper than any C stack", function()
    local N, chain = 20000, {}
    local t = w.running()
    for i = 1, N do
      chain[i] = t
      local child = w.task(lib.sched_scope_open(t, false))
      assert(park(t, OUTSIDE) == 0)
      assert(w.turn() == child)
      t = child
    end
    assert.equal(0, park(t, OUTSIDE))
    lib.sched_cancel(chain[1])
    assert.equal(0, s.outside)
    assert.is_true(t.canceled)
    w.finish_ready()
  end)

  it("lives a long random life in which nobody is lost or woken twice", function()
    local random, tasks, scopes = units.random(4242), {}, {}
    undo:set(function(t) tasks[tonumber(t.id)].undone = true end)

    local function pick(of)
      local keys = {}
      for key in pairs(of) do keys[#keys + 1] = key end
      table.sort(keys)
      return #keys > 0 and of[keys[random(#keys)]] or nil
    end

    local function start()
      local sc = random(3) == 1 and pick(scopes) or nil
      local t = w.task(sc and sc.scope or nil)
      tasks[tonumber(t.id)] = { t = t, scopes = 0 }
    end

    local function close_scopes_of(me)
      for key, sc in pairs(scopes) do
        if sc.owner == me then scopes[key] = nil end
      end
    end

    local number = 0
    local function run(t)
      local me = tasks[tonumber(t.id)]
      assert(t.state == RUNNING and (not me.parked or me.undone), "ran without having been woken")
      me.parked, me.undone = false, false
      local what = random(10)
      if what <= 5 then
        local refused = lib.sched_canceled(t)
        local deadline = random(3) == 1 and tonumber(s.now) + random(50) or 0
        local r = park(t, random(2) == 1 and OUTSIDE or 0, deadline, watched)
        assert((r == CANCELED) == refused)
        if r == 0 then
          me.parked = true
          return
        end
      elseif what <= 7 and me.scopes < 4 then
        number, me.scopes = number + 1, me.scopes + 1
        scopes[number] = { scope = lib.sched_scope_open(t, random(4) == 1), owner = me }
        if random(2) == 1 then lib.sched_scope_deadline(scopes[number].scope, s.now + random(80)) end
      elseif what == 8 then
        tasks[tonumber(t.id)] = nil
        close_scopes_of(me)
        lib.sched_finish(t)
        return
      end
      lib.sched_give_way(t)
      w.parked()
    end

    local function expected_outside()
      local n = 0
      for _, me in pairs(tasks) do n = n + (me.t.state == PARKED and me.t.wait.outside and 1 or 0) end
      for _, sc in pairs(scopes) do n = n + (sc.scope.timer.slot ~= 0 and 1 or 0) end
      return n
    end

    for _ = 1, 6000 do
      local what = random(12)
      if what <= 2 and s.alive < 40 then
        start()
      elseif what <= 8 then
        local t = w.turn()
        if t then run(t) end
      elseif what == 9 then
        local me = pick(tasks)
        if me and me.t.state == PARKED then lib.sched_wake(me.t, 0) end
      elseif what == 10 then
        w.at(s.now + random(20))
      elseif random(3) == 1 then
        local me = pick(tasks)
        if me then lib.sched_cancel(me.t) end
      else
        local sc = pick(scopes)
        if sc then lib.sched_scope_cancel(sc.scope) end
      end
      w.check()
      assert(s.outside == expected_outside(), "outside miscounted")
    end

    for _, me in pairs(tasks) do
      if me.t.state == PARKED then lib.sched_wake(me.t, 0) end
    end
    w.finish_ready()
  end)
end)
