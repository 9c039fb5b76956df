-- SPDX-License-Identifier: MIT
-- Reads for protocols: what is buffered is looked at and taken; bounds; and that they keep to what all reads keep to.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local task_state = require "support.task_state"
local veil = require "support.veil"

-- Ends that receive bytes in every way a network may cut them.
local function fragmented(sizes)
  return function()
    local a, b = net.pipe()
    if sizes then assert(core.fragment(a, sizes)) end
    return a, b
  end
end

local function connected() return support.connected("127.0.0.1:0") end

local function veiled()
  local a, b = veil.over(connected())
  local other = moonpark.go(veil.handshake, b)
  assert(veil.handshake(a))
  other:join()
  return a, b
end

local deliveries = {
  { name = "all at once", pair = fragmented() },
  { name = "one byte at a time", pair = fragmented { 1 } },
  { name = "two and three bytes in turn", pair = fragmented { 2, 3 } },
  { name = "tcp", pair = connected },
  { name = "a stream over another", pair = veiled },
}

local transports = { { name = "a stream over another", pair = deliveries[5].pair } }
for _, transport in ipairs(support.transports) do table.insert(transports, transport) end

-- What memory holds.
local function text(memory, n) return ffi.string(memory, n) end

for _, delivery in ipairs(deliveries) do
  -- body(conn) with bytes, then the end, on the way to conn.
  local function given(bytes, body)
    return support.pair_of(delivery, function(a, b)
      local writer = moonpark.go(function()
        assert(b:write(bytes))
        b:close_write()
      end)
      body(a)
      writer:join()
    end)
  end

  describe("of bytes that come as " .. delivery.name .. ",", function()
    it("fill waits for so many, and takes none", given("0123456789", function(conn)
      assert.equal(0, conn:fill(0))
      assert.is_true(conn:fill(4) >= 4)
      assert.equal("0123", conn:peek(4))
      assert.is_true(conn:buffered() >= 4)
      assert.equal(10, conn:fill(10))
      assert.equal("0123456789", conn:read_exactly(10))
      assert.equal(0, conn:buffered())
    end))

    it("fill that meets the end keeps what came", given("0123456789", function(conn)
      assert.same({ nil, "eof" }, { conn:fill(11) })
      assert.equal(10, conn:buffered())
      assert.equal(10, conn:fill(10))
      assert.equal("0123456789", conn:read_all())
      assert.same({ nil, "eof" }, { conn:fill(1) })
    end))

    it("fill of more than max is too long, before anything is waited for", given("0123456789", function(conn)
      assert.same({ nil, "too long" }, { conn:fill(6, 5) })
      assert.same({ nil, "too long" }, { conn:fill(2 ^ 26 + 1) })
      assert.is_true(conn:fill(5, 5) >= 5)
    end))

    it("peek gives what lies anywhere, or nothing", given("0123456789", function(conn)
      conn:fill(10)
      assert.equal("", conn:peek(0))
      assert.equal("0", conn:peek(1))
      assert.equal("345", conn:peek(3, 3))
      assert.equal("9", conn:peek(1, 9))
      assert.equal("", conn:peek(0, 10))
      assert.is_nil(conn:peek(2, 9))
      assert.is_nil(conn:peek(0, 11))
      assert.is_nil(conn:peek(2 ^ 53))
    end))

    it("find says where bytes begin", given("one\r\ntwo\r\n", function(conn)
      conn:fill(10)
      assert.equal(4, conn:find "\n")
      assert.equal(3, conn:find "\r\n")
      assert.equal(8, conn:find("\r\n", 4))
      assert.equal(3, conn:find("\r\n", 3))
      assert.is_nil(conn:find("\r\n", 9))
      assert.is_nil(conn:find("x"))
      assert.is_nil(conn:find("\n", 10))
      assert.is_nil(conn:find("\n", 1000))
      assert.is_nil(conn:find(("x"):rep(11)))
    end))

    it("skip drops so many", given(("x"):rep(100000) .. "rest", function(conn)
      assert.equal(0, conn:skip(0))
      conn:fill(10)
      assert.equal(5, conn:skip(5))
      assert.equal(99995, conn:skip(99995))
      assert.equal("rest", conn:read_all())
    end))

    it("skip that meets the end says how far it came", given("0123456789", function(conn)
      conn:fill(3)
      assert.same({ nil, "eof", nil, 10 }, { conn:skip(1000) })
      assert.same({ nil, "eof", nil, 0 }, { conn:skip(1) })
    end))

    it("read_unpack waits for the values of a format, and takes them", given("*2\r\n$1\r\na\r\n$2\r\nbc\r\n\1\2rest",
      function(conn)
      assert.same({ 19, 2, "a", "bc" }, { conn:read_unpack "'*'D('$'S)" })
      assert.same({ 2, 0x102 }, { conn:read_unpack ">H" })
      assert.same({ nil, "eof" }, { conn:read_unpack "I8" })
      assert.same({ nil, "malformed message" }, { conn:read_unpack "'x'" })
      assert.equal("rest", conn:read_all())
    end))

    it("read_unpack takes max bytes and no more", given("abcdefgh\0z\0", function(conn)
      assert.same({ nil, "too long" }, { conn:read_unpack("z", 8) })
      assert.same({ nil, "too long" }, { conn:read_unpack("c9", 8) })
      assert.same({ nil, "too long" }, { conn:read_unpack("s1", 90) }) -- "a" is 97
      assert.same({ 9, "abcdefgh" }, { conn:read_unpack("z", 9) })
      assert.same({ 2, "z" }, { conn:read_unpack("z") })
    end))

    it("read_into fills memory", given("0123456789", function(conn)
      local memory = ffi.new("uint8_t[8]")
      conn:fill(2)
      assert.equal(8, conn:read_into(memory))
      assert.equal("01234567", text(memory, 8))
      assert.same({ nil, "eof", nil, 2 }, { conn:read_into(memory, 3) })
      assert.equal("89234567", text(memory, 8))
      assert.equal(0, conn:read_into(memory, 0))
      assert.same({ nil, "eof", nil, 0 }, { conn:read_into(memory, 3, 1) })
    end))

    it("read_into needs no more than least", given("0123456789", function(conn)
      local memory, total = ffi.new("char[?]", 10), 0
      while total < 10 do
        local n = assert(conn:read_into(memory + total, 10 - total, 1))
        assert.is_true(n >= 1)
        total = total + n
      end
      assert.equal("0123456789", text(memory, 10))
    end))

    it("they follow each other and all other reads", given("line\r\n\0\5hello4\r\nbody\r\nto the end", function(conn)
      local memory = ffi.new("uint8_t[4]")
      assert.equal("line", conn:read_line())
      local _, n = conn:read_unpack ">H"
      assert.is_true(conn:fill(n) >= n)
      assert.equal("hello", conn:peek(n))
      assert.equal(n, conn:skip(n))
      assert.equal("4", conn:read_until "\r\n")
      assert.equal(4, conn:read_into(memory))
      assert.equal("body", text(memory, 4))
      assert.equal(2, conn:skip(2))
      assert.equal("to", conn:read_until " ")
      assert.equal("the end", conn:read_all())
    end))
  end)
end

for _, transport in ipairs(transports) do
  describe("over " .. transport.name .. " a read for protocols that waits", function()
    local function with_pair(body) return support.pair_of(transport, body) end

    it("goes on after each byte that is not enough", with_pair(function(a, b)
      local reader = support.parked(function() return a:read_unpack "'$'D" end)
      for byte in ("$12\r\n"):gmatch "." do
        task_state.assert_waits(reader)
        b:write(byte)
        support.settle()
      end
      assert.same({ true, 5, 12 }, { reader:join() })
    end))

    it("and times out half-way keeps the bytes for the next", with_pair(function(a, b)
      b:write("abc")
      a:set_read_deadline(moonpark.now() + 0.005)
      assert.same({ nil, "timeout" }, { a:fill(4) })
      assert.same({ nil, "timeout" }, { a:read_unpack "c4" })
      a:set_read_deadline(nil)
      assert.is_true(a:fill(3) >= 3)
      assert.equal(3, a:buffered())
      b:write("d")
      assert.same({ 4, "abcd" }, { a:read_unpack "c4" })
    end))

    it("and is cancelled half-way says what it has taken", with_pair(function(a, b)
      local memory = ffi.new("uint8_t[4]")
      b:write("ab")
      local reader = support.parked(function() return a:read_into(memory) end)
      reader:cancel()
      assert.same({ true, nil, "canceled", nil, 2 }, { reader:join() })
      assert.equal("ab", text(memory, 2))
      b:write("cd")
      local skipper = support.parked(function() return a:skip(3) end)
      skipper:cancel()
      assert.same({ true, nil, "canceled", nil, 2 }, { skipper:join() })
      b:write("e")
      local filler = support.parked(function() return a:fill(2) end)
      filler:cancel()
      assert.same({ true, nil, "canceled" }, { filler:join() })
      assert.equal("e", a:peek(1))
    end))

    it("is ended by a close", with_pair(function(a)
      local memory = ffi.new("uint8_t[4]")
      local first = support.parked(function() return a:fill(1) end)
      local second = support.parked(function() return a:read_into(memory) end)
      a:close()
      assert.same({ true, nil, "closed" }, { first:join() })
      assert.same({ true, nil, "closed", nil, 0 }, { second:join() })
      assert.same({ nil, "closed" }, { a:fill(1) })
      assert.same({ nil, "closed", nil, 0 }, { a:skip(1) })
      assert.same({ nil, "closed" }, { a:read_unpack "B" })
      for _, look in ipairs { a.buffered, a.peek, a.find, a.unpack } do
        local arguments = { [a.peek] = 1, [a.find] = "x", [a.unpack] = "B" }
        assert.same({ nil, "closed" }, { look(a, arguments[look]) })
      end
      assert.same({ nil, "closed" }, { a:unpack_all({}, "B") })
    end))

    it("lets others queue behind it: each gets its own, in the order they came", with_pair(function(a, b)
      local readers = {}
      for i = 1, 5 do readers[i] = support.parked(function() return a:read_unpack "c3" end) end
      b:write("111222333444555")
      for i, reader in ipairs(readers) do assert.same({ true, 3, tostring(i):rep(3) }, { reader:join() }) end
    end))

    it("lets nobody else look meanwhile", with_pair(function(a, b)
      b:write("ab")
      assert.is_true(a:fill(2) == 2)
      local reader = support.parked(function() return a:fill(3) end)
      local busy = { nil, "device or resource busy", 16 }
      assert.same(busy, { a:buffered() })
      assert.same(busy, { a:peek(1) })
      assert.same(busy, { a:find "a" })
      assert.same(busy, { a:unpack "B" })
      assert.same(busy, { a:unpack_all({}, "B") })
      b:write("c")
      assert.same({ true, 3 }, { reader:join() })
      assert.equal("abc", a:peek(3))
    end))
  end)
end

describe("a read for protocols", function()
  it("times out though its bytes are there, as every read does", support.on("pipe", function(a, b)
    b:write("abc")
    a:fill(3)
    a:set_read_deadline(moonpark.now() - 1)
    assert.same({ nil, "timeout" }, { a:fill(1) })
    assert.same({ nil, "timeout", nil, 0 }, { a:skip(1) })
    assert.same({ nil, "timeout" }, { a:read_unpack "B" })
    assert.equal("abc", a:peek(3))
    a:set_read_deadline(nil)
    assert.equal(3, a:skip(3))
  end))

  it("that always finds its bytes lets other tasks run", support.on("pipe", function(a, b)
    b:write(("x"):rep(10000))
    a:fill(10000)
    local turns, over = 0, false
    local other = moonpark.go(function()
      while not over do
        turns = turns + 1
        moonpark.yield()
      end
    end)
    for _ = 1, 1000 do a:read_unpack "c4" end
    for _ = 1, 1000 do a:skip(1) end
    over = true
    other:join()
    assert.is_true(turns >= 2000 / 64 - 1, turns .. " turns")
  end))

  it("holds little more than was asked for, however much is sent", support.on("tcp", function(a, b)
    local writer = moonpark.go(function() return b:write(("x"):rep(2 ^ 22)) end)
    for _ = 1, 100 do
      assert.is_true(assert(a:fill(20000)) <= 2 * (20000 + 4096))
      assert.equal(20000, a:skip(20000))
    end
    assert.equal(2 ^ 22 - 2000000, a:skip(2 ^ 22 - 2000000))
    assert.is_true(writer:join())
  end))

  it("keeps alive the memory that it reads into", support.on("pipe", function(a, b)
    local freed, reader = false
    do
      local memory = ffi.gc(ffi.new("uint8_t[1000]"), function() freed = true end)
      reader = support.parked(function(where) return a:read_into(where), text(where, 3) end, memory)
    end
    for _ = 1, 3 do collectgarbage() end
    assert.is_false(freed)
    b:write(("abc"):rep(400))
    assert.same({ true, 1000, "abc" }, { reader:join() })
  end))

  it("reads into what FFI knows to be bytes, and nothing else", support.on("pipe", function(a, b)
    ffi.cdef "struct reader_spec { char name[4]; int number; };"
    local whole = ffi.new("struct reader_spec")
    local fine = { ffi.new("char[4]"), ffi.new("int8_t[4]"), ffi.new("uint8_t[?]", 4), whole.name,
      ffi.cast("uint8_t *", whole), ffi.cast("char *", whole), ffi.cast("void *", whole) }
    for i, memory in ipairs(fine) do
      b:write("123", tostring(i))
      assert.equal(4, a:read_into(memory, 4))
      assert.equal("123" .. i, text(memory, 4))
    end
    assert.error_matches(function() a:read_into("text", 4) end, "memory of FFI expected, got string")
    assert.error_matches(function() a:read_into(nil) end, "memory of FFI expected, got nil")
    for _, name in ipairs { "char[4]", "char *" } do -- to FFI a type's value is its number, which is no address
      assert.error_matches(function() a:read_into(ffi.typeof(name), 1) end, "memory of FFI expected, got a type")
    end
    local wrong = { ffi.new("int[4]"), whole, ffi.new("int"), ffi.cast("const char *", "x"), ffi.cast("int *", whole),
      ffi.new("char[2][2]"), ffi.new("const char[4]"), ffi.typeof "char", 5LL, ffi.cast("char **", whole) }
    for _, memory in ipairs(wrong) do
      assert.error_matches(function() a:read_into(memory, 1) end, "array of bytes or pointer to them expected")
    end
    assert.error_matches(function() a:read_into(ffi.cast("char *", 0), 1) end, "null pointer")
    assert.error_matches(function() a:read_into(fine[1], 5) end, "5 bytes do not fit into 4")
    assert.error_matches(function() a:read_into(fine[1], 2, 3) end, "3 is more than 2")
    assert.error_matches(function() a:read_into(fine[5]) end, "number expected, got no value")
    assert.error_matches(function() a:read_into(fine[1], 1.5) end, "whole number")
    assert.error_matches(function() a:read_into(fine[1], 1, -1) end, "whole number")
    assert.error_matches(function() a:read_into(fine[1], 0 / 0) end, "whole number")
  end))

  it("raises for sizes that are none, and loses nothing", support.on("pipe", function(a, b)
    b:write("x")
    for _, size in ipairs { -1, 0.5, 0 / 0, -math.huge, "many", {}, true } do
      for _, name in ipairs { "fill", "skip", "peek" } do
        assert.error_matches(function() a[name](a, size) end, "bad argument")
      end
      assert.error_matches(function() a:find("x", size) end, "bad argument")
      assert.error_matches(function() a:read_unpack("B", size) end, "bad argument")
      assert.error_matches(function() a:fill(1, size) end, "bad argument")
    end
    assert.error_matches(function() a:find "" end, "nothing to look for")
    assert.error_matches(function() a:read_unpack "q" end, "'q' is no format")
    assert.equal("x", a:read())
  end))

  it("survives a finalizer that closes the connection while strings are made", function()
    local a, b = net.pipe()
    b:write(("x"):rep(60000))
    a:fill(60000)
    for _ = 1, 1000 do
      getmetatable(newproxy(true)).__gc = function() a:close() end
      if not a:unpack(("c900"):rep(60)) or not a:peek(59999) then break end
    end
    for _ = 1, 3 do collectgarbage() end
    assert.same({ nil, "closed" }, { a:peek(1) })
    b:close()
    core.check()
  end)
end)

---------------------------------------------------------------------------------------------------
-- a long run against a plain string

-- Each checks one call against the bytes that are still to come, from the front, and gives what is left of them.
local memory = ffi.new("uint8_t[300]")
local actions = {
  function(conn, rest, n)
    assert(conn:fill(n))
    local held = conn:buffered()
    assert.is_true(held >= n and held <= #rest)
    assert.is_true(conn:peek(held) == rest:sub(1, held))
    return rest
  end,
  function(conn, rest, n)
    assert.equal(n, conn:skip(n))
    return rest:sub(n + 1)
  end,
  function(conn, rest, n)
    assert.equal(n, conn:read_into(memory, n))
    assert.is_true(text(memory, n) == rest:sub(1, n))
    return rest:sub(n + 1)
  end,
  function(conn, rest, n)
    assert.same({ n, rest:sub(1, n) }, { conn:read_unpack("c" .. n) })
    return rest:sub(n + 1)
  end,
  function(conn, rest, n)
    assert.is_true(conn:read_exactly(n) == rest:sub(1, n))
    return rest:sub(n + 1)
  end,
  function(conn, rest, n)
    local held = assert(conn:fill(n))
    local at = conn:find(rest:sub(n, n + 1))
    local expected = rest:sub(1, held):find(rest:sub(n, n + 1), 1, true)
    assert.equal(expected and expected - 1, at)
    return rest
  end,
  function(conn, rest, n)
    local least = math.floor(n / 2)
    local got = assert(conn:read_into(memory, n, least))
    assert.is_true(got >= least and got <= n and text(memory, got) == rest:sub(1, got))
    return rest:sub(got + 1)
  end,
}

for _, delivery in ipairs(deliveries) do
  it("a long random run of them over " .. delivery.name .. " finds each byte once", support.pair_of(delivery,
    function(a, b)
    local seed = 42
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    local sent = support.random_bytes(60000, 7)
    local writer = moonpark.go(function()
      local at = 1
      while at <= #sent do
        local n = random(700)
        assert(b:write(sent:sub(at, at + n - 1)))
        at = at + n
        if n % 3 == 0 then moonpark.yield() end
      end
      return b:close_write()
    end)
    local rest = sent
    while #rest > 300 do rest = actions[random(#actions)](a, rest, random(300)) end
    assert.is_true(rest == a:read_all())
    assert.same({ true, true }, { writer:join() })
  end))
end
