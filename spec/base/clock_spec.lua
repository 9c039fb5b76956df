-- SPDX-License-Identifier: MIT
-- clock_spec.lua - monotonic nanoseconds, the wall date, and virtual time.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

local SECOND = 1000000000LL
local YEAR = 365 * 86400 * SECOND
local MAX, MIN = units.INT64_MAX, -0x7fffffffffffffffLL - 1

describe("clock", function()
  local c

  before_each(function() c = ffi.new("struct clock") end)

  local function now() return lib.clock_now(c) end
  local function wall() return lib.clock_wall(c) end

  describe("the system's time", function()
    it("is above zero and never runs back", function()
      local last = 0LL
      for _ = 1, 1000 do
        local t = now()
        assert.is_true(t > 0 and t >= last)
        last = t
      end
    end)

    it("has a wall date that agrees with the system's", function()
      local before = os.time()
      local date = tonumber(wall()) / 1e9
      -- os.time() lags behind by up to a tick, which may hide a second
      assert.is_true(date >= before - 1 and date <= os.time() + 2)
    end)
  end)

  describe("virtual time", function()
    it("begins at the instant it was frozen and stands still", function()
      local before = now()
      lib.clock_freeze(c)
      local t = now()
      assert.is_true(t >= before)
      for _ = 1, 1000 do assert.equal(t, now()) end
    end)

    it("is moved to where it is told", function()
      lib.clock_freeze(c)
      local t = now() + YEAR
      lib.clock_advance_to(c, t)
      assert.equal(t, now())
    end)

    it("does not go back", function()
      lib.clock_freeze(c)
      local t = now()
      for _, back in ipairs { 1, SECOND, t - 1, t, t + SECOND } do
        lib.clock_advance_to(c, t - back)
        assert.equal(t, now())
      end
    end)

    it("takes the wall date along", function()
      lib.clock_freeze(c)
      local date = wall()
      lib.clock_advance_to(c, now() + YEAR)
      local moved = wall() - date
      assert.is_true(moved >= YEAR - 60 * SECOND and moved <= YEAR + 60 * SECOND)
    end)

    it("goes on from where it stands when it is thawed", function()
      lib.clock_freeze(c)
      lib.clock_advance_to(c, now() + YEAR)
      local t = now()
      lib.clock_thaw(c)
      local later = now()
      assert.is_true(later >= t and later < t + YEAR)
      assert.is_true(wall() > os.time() * SECOND + YEAR / 2)
    end)

    it("never runs back over any freezing and thawing", function()
      local last = now()
      for i = 1, 200 do
        lib.clock_freeze(c)
        assert.is_true(now() >= last)
        if i % 3 == 0 then lib.clock_advance_to(c, now() + i * SECOND) end
        last = now()
        lib.clock_thaw(c)
        assert.is_true(now() >= last)
        last = now()
      end
    end)

    it("that was not moved is the system's time again when it is thawed", function()
      lib.clock_freeze(c)
      lib.clock_thaw(c)
      assert.equal(0LL, c.skipped)
    end)

    it("is not harmed by thawing what is not frozen", function()
      lib.clock_thaw(c)
      assert.is_false(c.frozen)
      assert.is_true(now() > 0)
    end)

    it("breaks a promise where it is moved without being frozen", function()
      local said = units.dying 'lib.clock_advance_to(ffi.new("struct clock"), 5)'
      assert.matches("assertion failed: c->frozen", said, 1, true)
    end)
  end)

  describe("seconds of a script", function()
    it("become nanoseconds", function()
      assert.equal(1500000000LL, lib.clock_ns(1.5))
      assert.equal(-250000000LL, lib.clock_ns(-0.25))
      assert.equal(0LL, lib.clock_ns(0))
      assert.equal(1LL, lib.clock_ns(1e-9))
    end)

    it("pin at the ends: huge is late and never wraps", function()
      for _, huge in ipairs { 1e10, 1e18, 1e300, math.huge } do
        assert.equal(MAX, lib.clock_ns(huge))
        assert.equal(MIN, lib.clock_ns(-huge))
      end
      assert.is_true(lib.clock_ns(9.1e9) > 0)
    end)
  end)

  describe("a sum of times", function()
    it("is the sum where it fits", function()
      assert.equal(5LL, lib.clock_add(2, 3))
      assert.equal(-1LL, lib.clock_add(2, -3))
      assert.equal(MAX, lib.clock_add(MAX - 1, 1))
    end)

    it("pins at the ends where it does not", function()
      assert.equal(MAX, lib.clock_add(MAX, 1))
      assert.equal(MAX, lib.clock_add(1, MAX))
      assert.equal(MIN, lib.clock_add(MIN, -1))
      assert.equal(MIN, lib.clock_add(-1, MIN))
    end)
  end)
end)
