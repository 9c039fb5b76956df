-- SPDX-License-Identifier: MIT
-- buffered_spec.lua - what has been received is taken without waiting, after a failed read too, and is put back.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"

local kinds = { "tcp", "unix", "pipe" }

for _, kind in ipairs(kinds) do
  local function on(body) return support.on(kind, body) end

  describe("over " .. kind .. " read_buffered", function()
    it("takes what is buffered, and never waits", on(function(a, b)
      assert.same({}, { a:read_buffered() })
      assert(b:write("first\nsecond"))
      assert.equal("first", a:read_line())
      assert(a:fill(6))
      assert.equal("sec", a:read_buffered(3))
      assert.equal("ond", a:read_buffered())
      assert.is_nil(a:read_buffered())
      assert.error_matches(function() a:read_buffered(0) end, "bad argument #1 to 'read_buffered'")
    end))

    it("hands out what a read that failed has received", on(function(a, b)
      local reads = {
        function() return a:read_line() end,
        function() return a:read_exactly(100) end,
        function() return a:read_until "END" end,
        function() return a:read_all() end,
      }
      assert(a:set_timeout(0.01))
      for i, read in ipairs(reads) do
        assert(b:write("part ", i))
        assert.same({ nil, "timeout" }, { read() })
        assert.equal("part " .. i, a:read_buffered())
      end
      assert(a:set_timeout(nil))
      assert(b:write("cut"))
      assert(a:wait_readable())
      local reader = support.parked(reads[2])
      reader:cancel()
      assert.same({ true, nil, "canceled" }, { reader:join() })
      assert.equal("cut", a:read_buffered())
      assert(b:write("last"))
      b:close()
      assert.same({ nil, "eof" }, { a:read_exactly(100) })
      assert.equal("last", a:read_buffered())
      assert.same({ nil, "eof" }, { a:read() })
    end))

    it("is refused where another task reads, and after close", on(function(a, b)
      local reader = support.parked(function() return a:read_exactly(5) end)
      assert(b:write("ab"))
      assert.same({ nil, "device or resource busy", 16 }, { a:read_buffered() })
      assert.same({ nil, "device or resource busy", 16 }, { a:unread "x" })
      assert(b:write("cde"))
      assert.same({ true, "abcde" }, { reader:join() })
      a:close()
      assert.same({ nil, "closed" }, { a:read_buffered() })
      assert.same({ nil, "closed" }, { a:unread "x" })
    end))
  end)

  describe("over " .. kind .. " unread", function()
    it("puts bytes in front of what comes", on(function(a, b)
      assert(a:unread "lo ")
      assert(a:unread "hel")
      assert(a:unread "")
      assert(b:write("world\n"))
      assert.equal("hello world", a:read_line())
      assert(b:write("second line\nthird\n"))
      assert.equal("second line", a:read_line())
      assert(a:unread(("x"):rep(100000) .. "\n"))
      assert.equal(100000, #a:read_line(200000))
      assert.equal("third", a:read_line())
      b:close()
      assert.same({ nil, "eof" }, { a:read() })
      assert(a:unread "again")
      assert.equal("again", a:read_all())
    end))
  end)

  describe("over " .. kind .. " is_quiet", function()
    it("says whether nothing at all has come", on(function(a, b)
      assert.is_true(a:is_quiet())
      assert(b:write("x"))
      assert(a:wait_readable())
      assert.is_false(a:is_quiet())
      assert.equal("x", a:read())
      assert.is_true(a:is_quiet())
      assert(a:unread "y")
      assert.is_false(a:is_quiet())
      assert.equal("y", a:read())
      local reader = support.parked(function() return a:read() end)
      assert.is_false(a:is_quiet())
      reader:cancel()
      reader:join()
      assert.is_true(a:is_quiet())
      b:close_write()
      assert(a:wait_readable())
      assert.is_false(a:is_quiet())
      a:close()
      assert.is_false(a:is_quiet())
    end))
  end)

  describe("over " .. kind .. " is_busy", function()
    it("says whether a task reads, or writes", on(function(a)
      local function busy() return { a:is_busy "r", a:is_busy "w" } end
      assert.same({ false, false }, busy())
      local reader = support.parked(function() return a:read() end)
      assert.same({ true, false }, busy())
      local writer = support.parked(function() return a:write(("x"):rep(2 ^ 26)) end)
      assert.same({ true, true }, busy())
      reader:cancel()
      reader:join()
      assert.same({ false, true }, busy())
      writer:cancel()
      writer:join()
      assert.same({ false, false }, busy())
      assert.is_false(pcall(string.gsub, "x", "x", function() a:read() end))
      assert.same({ false, false }, busy())
      a:close()
      assert.same({ false, false }, busy())
      assert.error_matches(function() a:is_busy "rw" end, "bad argument #1 to 'is_busy'")
      assert.error_matches(function() a:is_busy() end, "bad argument #1 to 'is_busy'")
    end))
  end)
end

describe("reading ahead", function()
  it("grows from 4 to 64 KiB while reads are filled", function()
    local a, b = net.pipe(2 ^ 20)
    local line = ("x"):rep(99) .. "\n"
    assert(b:write(line:rep(5000)))
    local first, most = nil, 0
    for _ = 1, 5000 do
      assert.equal(99, #a:read_line())
      first = first or a:buffered()
      most = math.max(most, a:buffered())
    end
    assert.is_true(first < 4096, first)
    assert.is_true(most > 32768 and most <= 128 * 1024, most)
    a:close()
    b:close()
  end)
end)

describe("is_quiet of TLS", function()
  it("does not take a session ticket for data", function()
    local tls = require "moonpark.tls"
    local made = assert(tls.self_signed "localhost")
    local context = assert(tls.server { cert = made.cert, key = made.key })
    local listener = assert(net.listen("127.0.0.1:0", { tls = context }))
    local server = moonpark.go(function()
      local conn = assert(listener:accept())
      assert.equal("ask", conn:read_exactly(3))
      conn:write("told")
      assert.equal("ask", conn:read_exactly(3))
      conn:write("more")
      conn:read()
      conn:close()
    end)
    local conn = assert(net.dial(listener:address(), { tls = assert(tls.client { insecure = true }) }))
    assert(conn:write("ask"))
    assert.equal("told", conn:read_exactly(4)) -- the tickets of TLS 1.3 came before it
    assert.is_true(conn:is_quiet())
    assert(conn:write("ask"))
    assert(conn:wait_readable())
    assert.is_false(conn:is_quiet())
    assert.equal("more", conn:read_exactly(4))
    conn:close()
    assert.is_true(server:join())
    listener:close()
  end)
end)
