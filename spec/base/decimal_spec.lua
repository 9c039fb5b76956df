-- SPDX-License-Identifier: MIT
-- decimal_spec.lua - numbers as text with 14 significant digits, beside the C library's printf.

local ffi = require "ffi"
local units = require "support.units"
local lib, C = units.lib, ffi.C

if not pcall(function() return C.snprintf end) then
  ffi.cdef "int snprintf(char *to, size_t n, const char *format, ...);"
end

local room = ffi.new("char[64]")
local number = ffi.new("double[1]")
local words = ffi.cast("uint32_t *", number) -- the lower one first

local function text(x)
  ffi.fill(room, 64, 0x55)
  local n = tonumber(lib.decimal_write(room, x))
  assert(n <= lib.DECIMAL_MAX and room[lib.DECIMAL_MAX] == 0x55, "too long")
  return ffi.string(room, n)
end

-- LuaJIT's own string.format rounds halves up, so it is no reference.
local function printed(x)
  local n = C.snprintf(room, 64, "%.14g", ffi.cast("double", x))
  return ffi.string(room, n)
end

local function check(x)
  local want = printed(x)
  local got = text(x)
  if got ~= want then error(("%.17g: %s, and printf says %s"):format(x, got, want)) end
end

local function check_near(x)
  number[0] = x
  words[0] = words[0] + 1
  check(number[0])
  words[0] = words[0] - 2
  check(number[0])
  for _, y in ipairs { x, -x } do check(y) end
end

describe("a number as text", function()
  it("has the digits of a whole number, up to 14 of them", function()
    assert.equal("0", text(0))
    assert.equal("42", text(42))
    assert.equal("-7", text(-7))
    assert.equal("99999999999999", text(99999999999999))
  end)

  it("has an exponent from 15 digits on, and below a ten-thousandth", function()
    assert.equal("1e+14", text(1e14))
    assert.equal("9.007199254741e+15", text(2 ^ 53))
    assert.equal("0.0001", text(0.0001))
    assert.equal("9.9e-05", text(0.000099))
    assert.equal("4.9406564584125e-324", text(5e-324))
    assert.equal("1.7976931348623e+308", text(1.7976931348623157e308))
  end)

  it("keeps the sign of zero", function()
    assert.equal("-0", text(-1 / math.huge)) -- the constant -0.0 is 0 where LuaJIT has integers: on arm64
  end)

  it("has no zeros at the end of a fraction", function()
    assert.equal("9.5", text(9.5))
    assert.equal("-0.25", text(-0.25))
    assert.equal("100.01", text(100.01))
    assert.equal("0.3", text(0.1 + 0.2))
  end)

  it("is rounded once, and to even where it lies halfway", function()
    assert.equal("1234567890123.2", text(1234567890123.25))
    assert.equal("1234567890123.8", text(1234567890123.75))
    assert.equal("12345678901234", text(12345678901234.5))
    assert.equal("12345678901236", text(12345678901235.5))
    assert.equal("100", text(99.999999999999999))
    assert.equal("1e+14", text(99999999999999.5))
  end)

  it("is what printf makes of it: powers, their neighbours and their halves", function()
    for e = -30, 30 do
      for _, factor in ipairs { 1, 2, 5, 0.5, 9, 1.5, 9.9999999999999, 9.99999999999995 } do
        check_near(factor * 10 ^ e)
      end
    end
    for e = -1074, 1023 do check_near(2 ^ e) end
  end)

  it("is what printf makes of it: prices, ties, and any bits", function()
    local random = units.random(14)
    for _ = 1, 30000 do
      check((random(2 ^ 31 - 2) - 2 ^ 30) / 100)
      check(random(2 ^ 31 - 2) * random(46340) + random(1000) / 8)                  -- many of 13 digits
      check(math.floor(random(2 ^ 31 - 2) * 10 ^ (random(14) - 9)) + random(64) / 64)
      check(random(2 ^ 31 - 2) * 10 ^ (random(28) - 18))
      words[0], words[1] = random(2 ^ 31 - 2) * 2, random(2047 * 2 ^ 20) - 1      -- no NaN, which is no Lua value
      check(number[0])
    end
  end)

  it("has a point in every locale", function()
    local before = os.setlocale()
    for _, locale in ipairs { "", "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8" } do
      if os.setlocale(locale) then
        assert.equal("1.5e+20", text(1.5e20))
        assert.equal("-2e-07", text(-2e-7))
        assert.equal("1.5", text(1.5))
      end
    end
    os.setlocale(before)
  end)

  it("does not exist for what is not finite", function()
    assert.matches("isfinite", units.dying "lib.decimal_write(ffi.new('char[64]'), 1 / 0)")
    assert.matches("isfinite", units.dying "lib.decimal_write(ffi.new('char[64]'), 0 / 0)")
  end)
end)
