-- SPDX-License-Identifier: MIT
-- ws_frame, ws_utf8, ws_sha1: bytes of RFC 6455 to heads and back, masks, texts, keys.

local units = require "support.units"
local lib, ffi = units.lib, require "ffi"
local C = { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, PACKED = 0x40 }
local MALFORMED = -100040

local function parse(bytes)
  local h = ffi.new "struct ws_head"
  return lib.ws_frame_parse(h, bytes, #bytes), h
end

local function put(first, length, key)
  local to = ffi.new "char[14]"
  local n = lib.ws_frame_put(to, first, length, key and ffi.new("uint8_t[4]", { key:byte(1, 4) }) or nil)
  return ffi.string(to, n)
end

describe("a frame's head", function()
  it("is as short as its length allows, and is read back", function()
    for _, case in ipairs { { 0, 2 }, { 125, 2 }, { 126, 4 }, { 65535, 4 }, { 65536, 10 }, { 2 ^ 40, 10 } } do
      for _, key in ipairs { false, "\1\2\3\4" } do
        local bytes = put(C.FIN + C.BINARY, case[1], key)
        assert.equal(case[2] + (key and 4 or 0), #bytes)
        local n, h = parse(bytes .. "payload")
        assert.equal(#bytes, n)
        assert.equal(case[1], tonumber(h.length))
        assert.equal(C.BINARY, h.opcode)
        assert.same({ true, false, key ~= false }, { h.fin, h.packed, h.masked })
        if key then assert.equal(key, ffi.string(h.key, 4)) end
      end
    end
  end)

  it("is incomplete until its last byte", function()
    local bytes = put(C.FIN + C.TEXT, 70000, "abcd")
    for n = 0, #bytes - 1 do assert.equal(0, (parse(bytes:sub(1, n)))) end
  end)

  it("may say that the message is compressed", function()
    local n, h = parse "\193\5"
    assert.equal(2, n)
    assert.is_true(h.packed)
  end)

  it("is refused at its first byte for a reserved bit, or an opcode that does not exist", function()
    for first = 0, 255 do
      local opcode, bits = first % 16, math.floor(first / 16)
      local control, reserved = opcode >= 8, bits % 4 ~= 0
      local exists = opcode <= 2 or opcode >= 8 and opcode <= 10
      local whole = not control or bits == 8
      local expected = exists and not reserved and whole and 0 or MALFORMED
      assert.equal(expected, (parse(string.char(first))), ("byte %02x"):format(first))
    end
  end)

  it("is refused if a control frame is long", function()
    assert.equal(2, (parse "\137\125"))
    assert.equal(MALFORMED, (parse "\137\126"))
    assert.equal(MALFORMED, (parse "\136\127"))
  end)

  it("is refused if its length could be written shorter, or has 64 bits", function()
    assert.equal(4, (parse "\130\126\0\126"))
    assert.equal(MALFORMED, (parse "\130\126\0\125"))
    assert.equal(10, (parse "\130\127\0\0\0\0\0\1\0\0"))
    assert.equal(MALFORMED, (parse "\130\127\0\0\0\0\0\0\255\255"))
    assert.equal(MALFORMED, (parse "\130\127\128\0\0\0\0\0\0\0"))
  end)
end)

local function masked(text, key, offset, lag)
  local size = #text + lag
  local bytes = ffi.new("char[?]", size + 1)
  ffi.copy(bytes + lag, text, #text)
  lib.ws_frame_mask(bytes, bytes + lag, #text, ffi.new("uint8_t[4]", { key:byte(1, 4) }), offset)
  return ffi.string(bytes, #text)
end

local function masked_simply(text, key, offset)
  return (text:gsub("()(.)", function(at, c)
    local k = key:byte((at - 1 + offset) % 4 + 1)
    return string.char(bit.bxor(c:byte(), k))
  end))
end

describe("masking", function()
  it("is the same for every length, turn of the key, and way that the bytes are moved by", function()
    local random = units.random(7)
    for n = 0, 200 do
      local bytes = {}
      for i = 1, n do bytes[i] = string.char(random(256) - 1) end
      local text, key = table.concat(bytes), "\18\52\171\205"
      local offset, lag = random(100) - 1, random(40) - 1
      assert.equal(masked_simply(text, key, offset), masked(text, key, offset, lag))
    end
  end)

  it("is undone by itself", function()
    assert.equal("Hello", masked(masked("Hello", "7\250!=", 0, 0), "7\250!=", 0, 3))
    assert.equal("\127\159\77\81\88", masked("Hello", "\55\250\33\61", 0, 0)) -- RFC 6455 5.7
  end)
end)

local function is_text(text, cuts)
  local u, at = ffi.new "struct ws_utf8", 1
  for _, cut in ipairs(cuts or {}) do
    if not lib.ws_utf8_take(u, text:sub(at, cut), cut - at + 1) then return false end
    at = cut + 1
  end
  return lib.ws_utf8_take(u, text:sub(at), #text - at + 1) and u.need == 0
end

describe("UTF-8", function()
  local good = { "", "plain ASCII, longer than a word or two of the machine", "\194\128", "\223\191", "\224\160\128",
    "\237\159\191", "\238\128\128", "\239\191\191", "\240\144\128\128", "\244\143\191\191", "κόσμε", "日本語 🂡 e" }
  local bad = { "\128", "\191", "\192\128", "\193\191", "\194", "\194a", "\224\159\191", "\224\160", "\237\160\128",
    "\237\191\191", "\240\143\191\191", "\240\144\128", "\244\144\128\128", "\245\128\128\128", "\255", "\254",
    "ok until here: \195(" }

  it("is known wherever the text is cut", function()
    for _, text in ipairs(good) do
      assert.is_true(is_text(text))
      for cut = 1, #text - 1 do assert.is_true(is_text(text, { cut }), text) end
    end
    for _, text in ipairs(bad) do
      assert.is_false(is_text(text))
      for cut = 1, #text - 1 do assert.is_false(is_text(text, { cut })) end
    end
  end)

  it("is refused with the first byte that cannot follow", function()
    local u = ffi.new "struct ws_utf8"
    assert.is_true(lib.ws_utf8_take(u, "\237", 1))
    assert.is_false(lib.ws_utf8_take(u, "\160", 1))
  end)

  it("has every code point but surrogates", function()
    local function encoded(c)
      if c < 0x80 then return string.char(c) end
      if c < 0x800 then return string.char(0xc0 + math.floor(c / 64), 0x80 + c % 64) end
      if c < 0x10000 then
        return string.char(0xe0 + math.floor(c / 4096), 0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
      end
      return string.char(0xf0 + math.floor(c / 262144), 0x80 + math.floor(c / 4096) % 64,
        0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
    end
    local all, surrogates = {}, 0
    for c = 0, 0x10ffff do
      if c >= 0xd800 and c <= 0xdfff then
        if is_text(encoded(c)) then surrogates = surrogates + 1 end
      else
        all[#all + 1] = encoded(c)
      end
    end
    assert.equal(0, surrogates)
    assert.is_true(is_text(table.concat(all)))
    assert.is_false(is_text(encoded(0x110000)))
  end)
end)

describe("codes of closing", function()
  it("are those that may travel", function()
    local may = {}
    for code = 0, 5100 do
      if lib.ws_frame_is_code(code) then may[#may + 1] = code end
    end
    assert.equal(12 + 2000, #may)
    for _, code in ipairs { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535 } do
      assert.is_false(lib.ws_frame_is_code(code))
    end
  end)
end)

describe("a key's answer", function()
  it("is the RFC's", function()
    local text = ffi.new "char[29]"
    lib.ws_frame_accept(text, "dGhlIHNhbXBsZSBub25jZQ==", 24)
    assert.equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ffi.string(text))
  end)

  it("is made of SHA-1, of every length around its blocks", function()
    local function sha1(text)
      local s, hash = ffi.new "struct ws_sha1", ffi.new "uint8_t[20]"
      lib.ws_sha1_init(s)
      lib.ws_sha1_add(s, text, #text)
      lib.ws_sha1_end(s, hash)
      return (ffi.string(hash, 20):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
    end
    assert.equal("da39a3ee5e6b4b0d3255bfef95601890afd80709", sha1 "")
    assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", sha1 "abc")
    assert.equal("84983e441c3bd26ebaae4aa1f95129e5e54670f1",
      sha1 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    for length, sum in pairs { [55] = "c1c8bbdc22796e28c0e15163d20899b65621d65a",
      [56] = "c2db330f6083854c99d4b5bfb6e8f29f201be699", [63] = "03f09f5b158a7a8cdad920bddc29b81c18a551f5",
      [64] = "0098ba824b5c16427bd7a1122a5a442a25ec644d", [65] = "11655326c708d70319be2610e8a57d9a5b959d3b" } do
      assert.equal(sum, sha1(("a"):rep(length)))
    end
  end)
end)
