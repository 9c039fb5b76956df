-- SPDX-License-Identifier: MIT
-- ws_pack: messages compressed and inflated, with and without memory of the last one.

local units = require "support.units"
local lib, ffi = units.lib, require "ffi"
local MALFORMED, TOO_LONG = -100040, -100005

local function with_pack(settings, body)
  return function()
    local blocks = lib.sys_allocated()
    local agreed = ffi.new("struct ws_packing", { out_bits = 15, in_bits = 15, level = 6, memory = 8 })
    for name, value in pairs(settings) do agreed[name] = value end
    local p = lib.ws_pack_new(agreed)
    body(p)
    lib.ws_pack_free(p)
    assert.equal(0, tonumber(lib.sys_allocated() - blocks))
  end
end

local function text_of(b) return ffi.string(b.bytes + b.start, units.buf_len(b)) end

local function packed(p, text, last)
  assert.equal(0, lib.ws_pack_deflate(p, text, #text, last ~= false))
  local bytes = text_of(p.packed)
  lib.ws_pack_sent(p, true)
  return bytes
end

local function inflated(p, bytes, most)
  local r = lib.ws_pack_inflate(p, bytes, #bytes, most or 1e6)
  if r == 0 then r = lib.ws_pack_end(p, most or 1e6) end
  if r ~= 0 then return nil, r end
  local text = units.buf_len(p.message) > 0 and text_of(p.message) or ""
  lib.ws_pack_handed(p)
  return text
end

local hello = "\242\72\205\201\201\7\0" -- RFC 7692 7.2.3.1: "Hello"

describe("a compressed message", function()
  it("is the RFC's", with_pack({}, function(p)
    assert.equal(hello, packed(p, "Hello"))
    assert.equal("Hello", inflated(p, hello))
  end))

  it("may refer to the last one", with_pack({}, function(p)
    assert.equal(hello, packed(p, "Hello"))
    assert.equal("\242\0\17\0\0", packed(p, "Hello")) -- 7.2.3.2
    assert.equal("Hello", inflated(p, hello))
    assert.equal("Hello", inflated(p, "\242\0\17\0\0"))
  end))

  it("refers to nothing without context takeover, and leaves nothing behind", with_pack({ out_fresh = true,
    in_fresh = true }, function(p)
    assert.equal(hello, packed(p, "Hello"))
    assert.equal(hello, packed(p, "Hello"))
    assert.equal(nil, p.out)
    assert.equal("Hello", inflated(p, hello))
    assert.equal(nil, p["in"])
    assert.same({ nil, MALFORMED }, { inflated(p, "\242\0\17\0\0") })
  end))

  it("may be empty, again and again", with_pack({}, function(p)
    for _ = 1, 3 do assert.equal("", inflated(p, packed(p, ""))) end
    assert.equal("Hello", inflated(p, packed(p, "Hello")))
    assert.equal("", inflated(p, packed(p, "")))
  end))

  it("may be one that is not compressed, or has blocks and a last one (7.2.3.3 to 7.2.3.5)", with_pack({}, function(p)
    assert.equal("Hello", inflated(p, "\0\5\0\250\255Hello\0"))
    assert.equal("Hello", inflated(p, "\243\72\205\201\201\7\0\0"))
    assert.equal("Hello", inflated(p, "\242\72\5\0\0\0\255\255\202\201\201\7\0"))
    assert.equal("Hello", inflated(p, "\242\0\17\0\0")) -- the window outlives a last block
  end))

  it("comes in pieces of any size", with_pack({}, function(p)
    local text = ("All work and no play makes Jack a dull boy. "):rep(500)
    local bytes = packed(p, text)
    for i = 1, #bytes do assert.equal(0, lib.ws_pack_inflate(p, bytes:sub(i, i), 1, 1e6)) end
    assert.equal(0, lib.ws_pack_end(p, 1e6))
    assert.equal(text, text_of(p.message))
  end))

  it("is sent in fragments of any size", with_pack({}, function(p)
    for _ = 1, 2 do
      local text = "one, two, three, one, two, three"
      local bytes = {}
      for i = 1, #text, 5 do bytes[#bytes + 1] = packed(p, text:sub(i, i + 4), false) end
      bytes[#bytes + 1] = packed(p, "", true)
      assert.equal(text, inflated(p, table.concat(bytes)))
    end
  end))

  it("does not refer to one that was not sent", with_pack({}, function(p)
    packed(p, "Hello")
    assert.equal(0, lib.ws_pack_deflate(p, "lost", 4, true))
    lib.ws_pack_sent(p, false)
    assert.equal(hello, packed(p, "Hello"))
  end))

  it("is refused if it inflates to more than may come, before it has done so", with_pack({}, function(p)
    local bomb = packed(p, ("\0"):rep(50000000))
    assert.is_true(#bomb < 60000)
    assert.same({ nil, TOO_LONG }, { inflated(p, bomb, 100000) })
    assert.is_true(tonumber(p.message.capacity) < 400000)
  end))

  it("may be as long as the limit, and no byte longer", with_pack({}, function(p)
    local text = ("x"):rep(5000)
    local bytes = packed(p, text)
    assert.equal(text, inflated(p, bytes, 5000))
    bytes = packed(p, text)
    assert.same({ nil, TOO_LONG }, { inflated(p, bytes, 4999) })
  end))

  it("is refused if it is no deflate, or is cut within a block", function()
    for _, bytes in ipairs { "\7garbage", "\242\72\205", "", "\6", "\0\5\0\250\255Hel" } do
      with_pack({}, function(p) assert.same({ nil, MALFORMED }, { inflated(p, bytes) }, bytes) end)()
    end
  end)

  for bits = 9, 15 do
    it("keeps to a window of 2^" .. bits, with_pack({ out_bits = bits, in_bits = bits }, function(p)
      local random = units.random(bits)
      for _ = 1, 20 do
        local words = {}
        for i = 1, 200 do words[i] = ("word%d"):format(random(50)) end
        local text = table.concat(words, " ")
        assert.equal(text, inflated(p, packed(p, text)))
      end
    end))
  end
end)
