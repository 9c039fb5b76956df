-- SPDX-License-Identifier: MIT
-- Reading: by what comes, by number, by line, by delimiter, to the end; bounds; and that a read which
-- fails loses nothing.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local task_state = require "support.task_state"

-- Ends that receive bytes in every way a network may cut them.
local function fragmented(sizes)
  return function()
    local a, b = net.pipe()
    if sizes then assert(core.fragment(a, sizes)) end
    return a, b
  end
end

local deliveries = {
  { name = "all at once", pair = fragmented() },
  { name = "one byte at a time", pair = fragmented { 1 } },
  { name = "two and three bytes in turn", pair = fragmented { 2, 3 } },
  { name = "tcp", pair = function() return support.connected("127.0.0.1:0") end },
}

for _, delivery in ipairs(deliveries) do
  -- body(conn) with text, then the end, on the way to conn.
  local function given(text, body)
    return support.pair_of(delivery, function(a, b)
      assert(b:write(text))
      b:close_write()
      body(a)
    end)
  end

  describe("of bytes that come " .. delivery.name .. ",", function()
    it("read gives between one and max, each once", given("0123456789", function(conn)
      local got, data = {}, conn:read(4)
      while data do
        assert.is_true(#data >= 1 and #data <= 4)
        got[#got + 1] = data
        data = conn:read(4)
      end
      assert.equal("0123456789", table.concat(got))
    end))

    it("read_exactly gives that many", given("0123456789", function(conn)
      assert.equal("012", conn:read_exactly(3))
      assert.equal("", conn:read_exactly(0))
      assert.equal("3456789", conn:read_exactly(7))
      assert.same({ nil, "eof" }, { conn:read_exactly(1) })
    end))

    it("read_exactly that meets the end keeps what came", given("0123456789", function(conn)
      assert.same({ nil, "eof" }, { conn:read_exactly(11) })
      assert.same({ nil, "eof" }, { conn:read_exactly(100) })
      assert.equal("0123456789", conn:read_exactly(10))
    end))

    it("read_line takes LF and CRLF away, and nothing else", given("lf\ncrlf\r\n\n\r\ncr\rin it\r\r\n\0zero\n",
      function(conn)
      for _, line in ipairs { "lf", "crlf", "", "", "cr\rin it\r", "\0zero" } do
        assert.equal(line, conn:read_line())
      end
      assert.same({ nil, "eof" }, { conn:read_line() })
    end))

    it("read_line gives the last line though nothing ends it", given("one\nlast", function(conn)
      assert.equal("one", conn:read_line())
      assert.equal("last", conn:read_line())
      assert.same({ nil, "eof" }, { conn:read_line() })
    end))

    it("read_line takes a CR at the very end for a part of the line", given("one\r", function(conn)
      assert.equal("one\r", conn:read_line())
    end))

    it("read_line takes a line of max bytes, whatever ends it", given("12345\n12345\r\n12345", function(conn)
      for _ = 1, 3 do assert.equal("12345", conn:read_line(5)) end
      assert.same({ nil, "eof" }, { conn:read_line(5) })
    end))

    it("read_line refuses a longer one as too long, again and again, and keeps it", given("123456\r\nnext\n",
      function(conn)
      assert.same({ nil, "too long" }, { conn:read_line(5) })
      assert.same({ nil, "too long" }, { conn:read_line(5) })
      assert.equal("123456", conn:read_line(6))
      assert.equal("next", conn:read_line(5))
    end))

    it("read_line refuses a last line that is too long", given("123456", function(conn)
      assert.same({ nil, "too long" }, { conn:read_line(5) })
      assert.equal("123456", conn:read_all())
    end))

    it("receive_line takes LF and every CR away", given("lf\ncrlf\r\n\n\r\n\r\rcr\rin it\r\r\n\0zero\n",
      function(conn)
      for _, line in ipairs { "lf", "crlf", "", "", "crin it", "\0zero" } do
        assert.equal(line, conn:receive_line())
      end
      assert.same({ nil, "eof" }, { conn:receive_line() })
    end))

    it("receive_line is ended by LF alone, and leaves what the end has cut", given("one\r\nl\rast\r", function(conn)
      assert.equal("one", conn:receive_line())
      assert.same({ nil, "eof" }, { conn:receive_line() })
      assert.equal("l\rast\r", conn:read_all())
    end))

    it("receive_line refuses a line above max as too long, and keeps it", given("12345\r\n1\r2345\n123456\nnext\n",
      function(conn)
      for _ = 1, 2 do assert.equal("12345", conn:receive_line(5)) end
      for _ = 1, 2 do assert.same({ nil, "too long" }, { conn:receive_line(5) }) end
      assert.equal("123456", conn:receive_line(6))
      assert.equal("next", conn:receive_line(4))
    end))

    it("read_until takes the delimiter away, however it was cut", given("one--two---three--", function(conn)
      assert.equal("one", conn:read_until("--"))
      assert.equal("two", conn:read_until("--"))
      assert.equal("-three", conn:read_until("--"))
      assert.same({ nil, "eof" }, { conn:read_until("--") })
    end))

    it("read_until finds a delimiter that begins within itself", given("aaabaaab", function(conn)
      assert.equal("a", conn:read_until("aab"))
      assert.equal("a", conn:read_until("aab"))
    end))

    it("read_until without its delimiter keeps what came", given("no end", function(conn)
      assert.same({ nil, "eof" }, { conn:read_until("--") })
      assert.equal("no", conn:read_until(" "))
      assert.equal("end", conn:read())
    end))

    it("read_until knows zero bytes and long delimiters", given("a\0b" .. ("="):rep(40) .. "c", function(conn)
      assert.equal("a", conn:read_until("\0"))
      assert.equal("b", conn:read_until(("="):rep(40)))
    end))

    it("read_until gives max bytes at the most", given("12345;123456;", function(conn)
      assert.equal("12345", conn:read_until(";", 5))
      assert.same({ nil, "too long" }, { conn:read_until(";", 5) })
      assert.equal("123456", conn:read_until(";", 6))
    end))

    it("read_until with a max of zero takes a delimiter that stands there", given(";x;", function(conn)
      assert.equal("", conn:read_until(";", 0))
      assert.same({ nil, "too long" }, { conn:read_until(";", 0) })
    end))

    it("read_all gives everything up to the end, and then nothing", given("some\nlines\n", function(conn)
      assert.equal("some\nlines\n", conn:read_all())
      assert.equal("", conn:read_all())
      assert.same({ nil, "eof" }, { conn:read() })
    end))

    it("read_all takes max bytes and refuses more, keeping them", given("0123456789", function(conn)
      assert.same({ nil, "too long" }, { conn:read_all(9) })
      assert.equal("0123456789", conn:read_all(10))
    end))

    it("all kinds of reading follow each other", given("GET /\r\nkey:5\r\nabcderest", function(conn)
      assert.equal("GET /", conn:read_line())
      assert.equal("key", conn:read_until(":"))
      assert.equal("5", conn:read_line())
      assert.equal("abcde", conn:read_exactly(5))
      assert.is_true(#conn:read(2) > 0)
      assert.matches("st$", conn:read_all())
    end))

    it("lines() goes over them up to the end", given("one\ntwo\r\n\nfour", function(conn)
      local lines = {}
      for line in conn:lines() do lines[#lines + 1] = line end
      assert.same({ "one", "two", "", "four" }, lines)
    end))

    it("lines(max) ends at a line that is too long", given("one\ntoo long\nthree\n", function(conn)
      local lines = {}
      for line in conn:lines(3) do lines[#lines + 1] = line end
      assert.same({ "one" }, lines)
      assert.equal("too long", conn:read_line())
    end))

    it("ten thousand lines come out as they went in", function()
      local a, b = delivery.pair()
      local lines = {}
      for i = 1, 10000 do lines[i] = ("x"):rep(i % 50) end
      local writer = moonpark.go(function()
        b:write(table.concat(lines, "\r\n"), "\r\n")
        b:close()
      end)
      for i = 1, 10000 do
        local line = a:read_line()
        if line ~= lines[i] then assert.equal(lines[i], line) end
      end
      assert.same({ nil, "eof" }, { a:read_line() })
      assert.is_true(writer:join())
      a:close()
    end)
  end)
end

for _, transport in ipairs(support.transports) do
  describe("over " .. transport.name .. " a read that waits", function()
    local function with_pair(body) return support.pair_of(transport, body) end

    it("puts a CRLF together that comes in two pieces", with_pair(function(a, b)
      local reader = support.parked(function() return a:read_line() end)
      b:write("line\r")
      support.settle()
      task_state.assert_waits(reader)
      b:write("\nrest")
      assert.same({ true, "line" }, { reader:join() })
      assert.equal("rest", a:read())
    end))

    it("goes on after each byte that is not enough", with_pair(function(a, b)
      local reader = support.parked(function() return a:read_exactly(5) end)
      for byte in ("12345"):gmatch(".") do
        task_state.assert_waits(reader)
        b:write(byte)
        support.settle()
      end
      assert.same({ true, "12345" }, { reader:join() })
    end))

    it("and times out half-way keeps the bytes for the next", with_pair(function(a, b)
      b:write("half a li")
      a:set_read_deadline(moonpark.now() + 0.005)
      assert.same({ nil, "timeout" }, { a:read_line() })
      a:set_read_deadline(nil)
      b:write("ne\n")
      assert.equal("half a line", a:read_line())
    end))

    it("and is cancelled half-way keeps the bytes for the next", with_pair(function(a, b)
      b:write("12")
      local reader = support.parked(function() return a:read_exactly(4) end)
      reader:cancel()
      assert.same({ true, nil, "canceled" }, { reader:join() })
      b:write("34")
      assert.equal("1234", a:read_exactly(4))
    end))

    it("refuses a line as too long without waiting for its end", with_pair(function(a, b)
      b:write(("x"):rep(100))
      assert.same({ nil, "too long" }, { a:read_line(50) })
      assert.same({ nil, "too long" }, { a:read_until(";", 50) })
      assert.same({ nil, "too long" }, { a:read_all(50) })
      assert.equal(("x"):rep(100), a:read_exactly(100))
    end))

    it("lets others queue behind it: each gets its own, in the order they came", with_pair(function(a, b)
      local readers = {}
      for i = 1, 5 do readers[i] = support.parked(function() return a:read_exactly(3) end) end
      b:write("111222333444555")
      for i, reader in ipairs(readers) do
        assert.same({ true, tostring(i):rep(3) }, { reader:join() })
      end
    end))

    it("leaves the queue when it is cancelled there, and nobody is passed over", with_pair(function(a, b)
      local first = support.parked(function() return a:read(1) end)
      local second = support.parked(function() return a:read(1) end)
      local third = support.parked(function() return a:read(1) end)
      second:cancel()
      b:write("13")
      assert.same({ true, "1" }, { first:join() })
      assert.same({ true, nil, "canceled" }, { second:join() })
      assert.same({ true, "3" }, { third:join() })
    end))

    it("wait_readable takes nothing", with_pair(function(a, b)
      local waiter = support.parked(function() return a:wait_readable() end)
      b:write("x")
      assert.same({ true, true }, { waiter:join() })
      assert.is_true(a:wait_readable())
      assert.equal("x", a:read())
    end))

    it("wait_readable knows of bytes that are buffered, and of the end", with_pair(function(a, b)
      b:write("one\ntwo")
      assert.equal("one", a:read_line())
      assert.is_true(a:wait_readable())
      assert.equal("two", a:read())
      b:close()
      assert.is_true(a:wait_readable())
      assert.same({ nil, "eof" }, { a:read() })
      assert.is_true(a:wait_readable())
    end))
  end)
end

describe("a read that names no bound", function()
  it("takes lines up to 65536 bytes", support.on("pipe", function(a, b)
    local writer = moonpark.go(function() b:write(("x"):rep(65536), "\r\n", ("y"):rep(65537), "\n") end)
    assert.equal(65536, #a:read_line())
    assert.same({ nil, "too long" }, { a:read_line() })
    assert.equal(65537, #a:read_line(65537))
    assert.is_true(writer:join())
  end))

  it("takes a megabyte up to a delimiter", support.on("pipe", function(a, b)
    local writer = moonpark.go(function() b:write(("x"):rep(2 ^ 20), ";", ("y"):rep(2 ^ 20 + 1), ";") end)
    assert.equal(2 ^ 20, #a:read_until(";"))
    assert.same({ nil, "too long" }, { a:read_until(";") })
    assert.equal(2 ^ 20 + 1, #a:read_until(";", 2 ^ 21))
    assert.is_true(writer:join())
  end))
end)

describe("a size", function()
  it("is a whole number in range, or the call raises and nothing is lost", support.on("pipe", function(a, b)
    b:write("x\n")
    for _, size in ipairs { -1, 0.5, 0 / 0, -math.huge, "many", {}, true } do
      assert.error_matches(function() a:read(size) end, "bad argument")
      assert.error_matches(function() a:read_exactly(size) end, "bad argument")
      assert.error_matches(function() a:read_line(size) end, "bad argument")
      assert.error_matches(function() a:read_until("\n", size) end, "bad argument")
      assert.error_matches(function() a:read_all(size) end, "bad argument")
    end
    assert.error_matches(function() a:read(0) end, "at least 1")
    assert.error_matches(function() a:read_exactly() end, "number expected")
    assert.error_matches(function() a:read_until() end, "string expected")
    assert.error_matches(function() a:read_until("") end, "the delimiter is empty")
    assert.equal("x", a:read_line(math.huge))
  end))

  it("may be far more than will ever come", support.on("tcp", function(a, b)
    b:write("x\ny;z")
    b:close()
    assert.equal("x", a:read_line(1e300))
    assert.equal("y", a:read_until(";", math.huge))
    assert.same({ nil, "eof" }, { a:read_exactly(2 ^ 52) })
    assert.equal("z", a:read_all(math.huge))
  end))
end)
