-- SPDX-License-Identifier: MIT
-- trail_spec.lua - texts without memory, reading that may go wrong, and the names of C functions on the stack.

local ffi = require "ffi"
local lib = require("support.units").lib

ffi.cdef "size_t strlen(const char *s); void abort(void);"

local function text_of(put, ...)
  local text = ffi.new "struct trail_text"
  put(text, ...)
  return ffi.string(text.bytes, text.length)
end

describe("the text of a trail", function()
  it("takes numbers", function()
    for _, n in ipairs { 0ULL, 7ULL, 10ULL, 18446744073709551615ULL } do
      assert.equal(tostring(n):match "%d+", text_of(lib.trail_put_number, n))
    end
  end)

  it("takes times with two digits after the point, cut off", function()
    local times = { ["0.00 s"] = 9999999, ["0.01 s"] = 10000000, ["1.50 s"] = 1500000000, ["61.09 s"] = 61099999999 }
    for text, ns in pairs(times) do assert.equal(text, text_of(lib.trail_put_seconds, ns)) end
  end)

  it("is cut at its end, and always ends", function()
    local text = ffi.new "struct trail_text"
    for _ = 1, 1000 do lib.trail_put(text, "0123456789") end
    assert.equal(ffi.sizeof(text.bytes) - 1, tonumber(text.length))
    assert.equal(0, text.bytes[text.length])
    assert.matches("^0123456789.*01234$", ffi.string(text.bytes))
  end)
end)

describe("trail_try", function()
  require("jit").off(true, true)

  it("says whether a function ended", function()
    local called = false
    local callback = ffi.cast("void (*)(void *)", function() called = true end)
    assert.is_true(lib.trail_try(callback, nil))
    assert.is_true(called)
    callback:free()
  end)

  it("survives a function that reads where there is nothing, and says so", function()
    for _ = 1, 3 do
      assert.is_false(lib.trail_try(ffi.cast("void (*)(void *)", ffi.C.strlen), ffi.cast("void *", 8)))
    end
  end)

  it("survives one that aborts", function()
    assert.is_false(lib.trail_try(ffi.cast("void (*)(void *)", ffi.C.abort), nil))
    assert.is_false(lib.trail_try(ffi.cast("void (*)(void *)", ffi.C.abort), nil))
  end)
end)
