-- SPDX-License-Identifier: MIT
-- timers_spec.lua - the heap of deadlines, alone. There is no clock in it: the spec says what time it is.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

local NEVER = units.INT64_MAX

describe("timers", function()
  local ts, t -- a heap, and timers that live as long as it does

  local function fresh(n)
    t = ffi.new("struct timer[?]", n)
  end

  before_each(function()
    ts = ffi.new("struct timers")
    lib.timers_init(ts)
    fresh(512)
  end)

  after_each(function()
    lib.timers_check(ts)
    lib.timers_fini(ts)
  end)

  local function set(i, when) assert.equal(0, lib.timers_set(ts, t[i], when)) end
  local function set_all(n, when) for i = 0, n - 1 do set(i, when(i)) end end

  local function pop(now)
    local timer = lib.timers_pop(ts, now)
    if timer == nil then return nil end
    return tonumber(timer - t)
  end

  -- Every entry of the heap, as text, to see whether one of them has changed.
  local function picture() return ffi.string(ts.heap, ts.count * ffi.sizeof("struct timer_entry")) end

  describe("an empty heap", function()
    it("has no next timer", function() assert.equal(NEVER, lib.timers_next(ts)) end)
    it("gives nothing, however late it is", function() assert.is_nil(pop(NEVER)) end)
    it("holds no memory", function() assert.is_true(ts.heap == nil) end)
  end)

  describe("order", function()
    it("gives timers by their time, not by when they were set", function()
      set_all(100, function(i) return (i * 37) % 101 + 1 end)
      local last = 0
      for _ = 1, 100 do
        local i = pop(1000)
        assert.is_true(tonumber(t[i].when) > last)
        last = tonumber(t[i].when)
      end
      assert.is_nil(pop(NEVER))
    end)

    it("gives only what is due", function()
      set(0, 10) set(1, 20)
      assert.is_nil(pop(9))
      assert.equal(0, pop(10))
      assert.is_nil(pop(19))
      assert.equal(1, pop(25))
    end)

    it("says when the earliest is due", function()
      set(0, 20) set(1, 10)
      assert.equal(10LL, lib.timers_next(ts))
    end)

    it("disarms what it gives", function()
      set(0, 1)
      assert.is_true(t[0].slot > 0)
      pop(1)
      assert.equal(0, t[0].slot)
      assert.equal(0, units.armed(ts))
    end)

    it("keeps several timers of one instant apart", function()
      set_all(9, function() return 5 end)
      local seen = {}
      for i in function() return pop(5) end do seen[i] = true end
      for i = 0, 8 do assert.is_true(seen[i]) end
    end)

    it("is that of a heap with four children a node", function()
      set_all(200, function(i) return (i * 7919) % 1009 + 1 end)
      for i = 1, ts.count - 1 do
        assert.is_true(ts.heap[math.floor((i - 1) / 4)].when <= ts.heap[i].when)
      end
    end)

    it("never calls what a timer would do", function()
      set(0, 1) -- its `fire` is NULL
      assert.equal(0, pop(1))
    end)
  end)

  describe("moving a timer", function()
    before_each(function() set_all(100, function(i) return 100 + i end) end)

    it("later writes one field and leaves the heap as it is", function()
      local before = picture()
      set(0, 5000)
      set(50, 5000)
      assert.equal(before, picture())
      assert.equal(5000LL, t[50].when)
    end)

    it("later counts when the entry surfaces", function()
      set(0, 5000)
      assert.equal(101LL, lib.timers_next(ts))
      for i = 1, 99 do assert.equal(i, pop(4999)) end
      assert.is_nil(pop(4999))
      assert.equal(0, pop(5000))
    end)

    it("later and back again costs nothing at all", function()
      local before = picture()
      set(0, 5000)
      set(0, 100)
      assert.equal(100LL, lib.timers_next(ts))
      assert.equal(before, picture())
    end)

    it("sooner counts at once", function()
      set(99, 1)
      assert.equal(0, t[99].slot - 1)
      assert.equal(1LL, ts.heap[0].when)
      assert.equal(99, pop(1))
    end)

    it("sooner than where a move later left it, but not than its entry, is lazy too", function()
      set(10, 5000)
      local before = picture()
      set(10, 300)
      assert.equal(before, picture())
      lib.timers_check(ts)
      local order = {}
      for i in function() return pop(NEVER) end do order[#order + 1] = i end
      assert.equal(100, #order)
      assert.equal(10, order[100])
    end)

    it("never makes a second entry", function()
      for i = 1, 1000 do set(7, i % 2 == 0 and 50 or 9000) end
      assert.equal(100, ts.count)
    end)
  end)

  describe("disarming", function()
    it("is harmless where the timer is not armed", function()
      lib.timers_del(ts, t[0])
      set(0, 1)
      lib.timers_del(ts, t[0])
      lib.timers_del(ts, t[0])
      assert.is_nil(pop(NEVER))
    end)

    it("leaves a dead entry that is passed over", function()
      set_all(100, function(i) return i + 1 end)
      lib.timers_del(ts, t[0])
      assert.equal(1, ts.dead)
      assert.equal(99, units.armed(ts))
      assert.equal(2LL, lib.timers_next(ts))
      assert.equal(0, ts.dead)
    end)

    it("of the last entry leaves none", function()
      set_all(10, function(i) return i + 1 end)
      lib.timers_del(ts, t[9])
      assert.equal(9, ts.count)
      assert.equal(0, ts.dead)
    end)

    it("builds the heap anew when more than a quarter is dead", function()
      set_all(100, function(i) return i + 1 end)
      for i = 1, 25 do lib.timers_del(ts, t[i]) end
      assert.equal(25, ts.dead)
      assert.equal(100, ts.count)
      lib.timers_del(ts, t[26])
      assert.equal(0, ts.dead)
      assert.equal(74, ts.count)
      assert.equal(0, pop(NEVER))
      assert.equal(27, pop(NEVER))
    end)

    it("while it is moved late puts it right on the way", function()
      set_all(100, function(i) return i + 1 end)
      set(0, 9000)
      for i = 1, 26 do lib.timers_del(ts, t[i]) end
      assert.equal(28LL, ts.heap[0].when)
    end)

    it("lets the timer be armed again", function()
      set(0, 5)
      lib.timers_del(ts, t[0])
      set(0, 3)
      assert.equal(0, pop(3))
    end)
  end)

  describe("room", function()
    it("that was reserved is not asked for again", function()
      assert.equal(0, lib.timers_reserve(ts, 64))
      local heap, capacity = ts.heap, ts.capacity
      set_all(64, function(i) return i + 1 end)
      assert.is_true(heap == ts.heap)
      assert.equal(capacity, ts.capacity)
    end)

    it("can be reserved for more timers than twice what there is", function()
      assert.equal(0, lib.timers_reserve(ts, 500))
      assert.is_true(ts.capacity >= 500)
    end)

    it("grows by itself and keeps the order", function()
      set_all(500, function(i) return 1000 - i end)
      for i = 499, 0, -1 do assert.equal(i, pop(NEVER)) end
    end)
  end)

  describe("the end of time", function()
    it("is a time like any other", function()
      set(0, NEVER)
      set(1, 5)
      assert.equal(1, pop(5))
      assert.equal(NEVER, lib.timers_next(ts))
      assert.is_nil(pop(NEVER - 1))
      assert.equal(0, pop(NEVER))
    end)
  end)

  it("breaks a promise where a timer is armed for no time", function()
    for _, when in ipairs { "0", "-5" } do
      local said = units.dying(('lib.timers_set(ffi.new("struct timers"), ffi.new("struct timer"), %s)'):format(when))
      assert.matches("assertion failed: when > 0", said, 1, true)
    end
  end)

  if units.hard then
    it("without memory leaves the timer as it was", function()
      lib.hard_fail_alloc(1)
      assert.equal(-units.ENOMEM, lib.timers_set(ts, t[0], 5))
      lib.hard_fail_alloc(0)
      assert.equal(0, t[0].slot)
      assert.equal(0, ts.count)
    end)
  end

  -- The model: when[i] is the time of timer i, nil while it is not armed.
  it("lives a long random life as a plain array would", function()
    local N, STEPS = 96, 100000
    local random, when, armed, now = units.random(20240117), {}, 0, 1

    local function earliest()
      local least
      for i = 0, N - 1 do
        if when[i] and (not least or when[i] < least) then least = when[i] end
      end
      return least
    end

    local function arm(i, at)
      if not when[i] then armed = armed + 1 end
      when[i] = at
      return lib.timers_set(ts, t[i], at) == 0
    end

    local function disarm(i)
      if when[i] then armed = armed - 1 end
      when[i] = nil
      lib.timers_del(ts, t[i])
      return t[i].slot == 0
    end

    local function expire()
      local timer, least = lib.timers_pop(ts, now), earliest()
      if timer == nil then return least == nil or least > now end
      local i = tonumber(timer - t)
      if when[i] ~= least or least > now or timer.slot ~= 0 then return false end
      when[i], armed = nil, armed - 1
      return true
    end

    local function step()
      local what, i = random(16), random(N) - 1
      if what <= 6 then return arm(i, now + random(1000)) end
      if what <= 8 then return arm(i, math.max(now - random(20), 1)) end -- passed already
      if what <= 12 then return disarm(i) end
      if what == 13 then now = now + random(200) end
      if what == 14 and random(40) == 1 then -- nearly all of them at once: the heap is built anew
        for k = 0, N - 1 do if random(8) > 1 then disarm(k) end end
      end
      return expire()
    end

    for n = 1, STEPS do
      if not step() then error("step " .. n .. ": not what the model says") end
      lib.timers_check(ts)
      if units.armed(ts) ~= armed then error("step " .. n .. ": armed timers miscounted") end
      if n % 16 == 0 and lib.timers_next(ts) ~= (earliest() or NEVER) then error("step " .. n .. ": next") end
    end
  end)
end)
