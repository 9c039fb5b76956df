-- SPDX-License-Identifier: MIT
-- loop_spec.lua - one turn: what time it is for those who hear of an event, and for timers.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

describe("a turn of the loop", function()
  local loop, pd, from, to

  -- A loop that may block: as if a task waited for the outside.
  before_each(function()
    require("jit").off(true, true)
    loop = ffi.new("struct loop")
    assert(lib.loop_open(loop, units.poller ~= "" and units.poller or nil) == 0)
    loop.sched.alive, loop.sched.outside = 1, 1
    from, to = units.pipe()
    local out = ffi.new("struct pollDesc *[1]")
    assert(lib.netpoll_open(loop.netpoll, from, out) == 0)
    pd = out[0]
  end)

  after_each(function()
    lib.netpoll_unblock(pd)
    lib.netpoll_close(pd)
    loop.sched.alive, loop.sched.outside = 0, 0
    lib.loop_close(loop)
    units.close(from, to)
  end)

  it("reads the clock before anything hears of what the poller has found", function()
    local heard
    local callback = ffi.cast("bool (*)(struct pollDesc *, uint32_t)", function()
      heard = loop.sched.now
      return true
    end)
    lib.netpoll_notify(pd, callback, nil)
    for _ = 1, 3 do
      heard = nil
      lib.netpoll_arm(pd, 0)
      local before = lib.clock_real()
      units.write(to, "x")
      assert.equal(lib.LOOP_GOES_ON, lib.loop_turn(loop))
      assert.is_true(heard >= before)
      units.read(from)
    end
    callback:free()
  end)

  it("fires no timer that an event's function has just set, whatever the time before", function()
    local fired, timer = 0, ffi.new("struct timer")
    local fire = ffi.cast("void (*)(struct timer *)", function() fired = fired + 1 end)
    timer.fire = fire
    lib.clock_freeze(loop.clock)
    local callback = ffi.cast("bool (*)(struct pollDesc *, uint32_t)", function()
      assert(lib.timers_set(loop.timers, timer, lib.clock_add(loop.sched.now, 1000)) == 0)
      return true
    end)
    lib.netpoll_notify(pd, callback, nil)
    lib.netpoll_arm(pd, 0)
    lib.clock_advance_to(loop.clock, loop.clock.now + 3600 * 1000000000LL) -- a long silence
    units.write(to, "x")
    assert.equal(lib.LOOP_GOES_ON, lib.loop_turn(loop))
    assert.equal(0, fired)
    assert.equal(lib.LOOP_GOES_ON, lib.loop_turn(loop)) -- nothing else can happen: time jumps
    assert.equal(1, fired)
    callback:free()
    fire:free()
  end)
end)
