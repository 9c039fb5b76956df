-- SPDX-License-Identifier: MIT
-- Writing: any number of strings in one call, wholly or with a count of what went out.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local task_state = require "support.task_state"

-- n strings of one byte each, all different from their neighbours.
local function single_bytes(n)
  local bytes = {}
  for i = 1, n do bytes[i] = string.char(i % 251) end
  return bytes
end

for _, transport in ipairs(support.transports) do
  local function with_pair(body) return support.pair_of(transport, body) end

  describe("write over " .. transport.name, function()
    for _, n in ipairs { 0, 1, 10, 1023, 1024, 1025, 3000 } do
      it(("sends %d strings in one call, in their order"):format(n), with_pair(function(a, b)
        local bytes = single_bytes(n)
        assert.equal(n, a:write(unpack(bytes)))
        a:close()
        assert.is_true(table.concat(bytes) == b:read_all())
      end))
    end

    it("passes over empty strings, wherever they stand", with_pair(function(a, b)
      local parts = {}
      for i = 1, 1200 do parts[i] = "" end
      parts[600], parts[1100] = "one", "two"
      assert.equal(6, a:write(unpack(parts)))
      assert.equal(0, a:write(""))
      assert.equal(0, a:write())
      assert.equal(0, a:write("", "", ""))
      a:close()
      assert.equal("onetwo", b:read_all())
    end))

    it("of nothing at all tells the peer nothing", with_pair(function(a, b)
      local reader = support.parked(function() return b:read() end)
      assert.equal(0, a:write(""))
      support.settle()
      task_state.assert_waits(reader)
      assert.equal(1, a:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end))

    it("takes numbers as Lua prints them", with_pair(function(a, b)
      assert.equal(7, a:write(12, " ", 0.5, "\n"))
      assert.equal("12 0.5", b:read_line())
    end))

    it("sends ten megabytes to a slow reader, unchanged", with_pair(function(a, b)
      local data = support.random_bytes(2 ^ 20):rep(10)
      local writer = moonpark.go(function()
        local n = a:write(data)
        a:close()
        return n
      end)
      local got = {}
      repeat
        local piece = b:read()
        got[#got + 1] = piece
        if #got % 16 == 0 then moonpark.yield() end
      until not piece
      assert.same({ true, #data }, { writer:join() })
      assert.is_true(table.concat(got) == data)
    end))

    it("that the peer ends half-way says how much it had sent", with_pair(function(a, b)
      local data = ("x"):rep(10 * 2 ^ 20)
      local writer = support.parked(function() return a:write("head", data) end)
      assert.equal("head", b:read_exactly(4))
      b:close()
      local _, n, err, errno, sent = writer:join()
      assert.is_nil(n)
      assert.is_true(err == "broken pipe" or err == "connection reset by peer", err)
      assert.is_number(errno)
      assert.is_true(sent >= 4 and sent < 4 + #data)
    end))

    it("that is cancelled half-way says how much it had sent", with_pair(function(a, b)
      local data = ("x"):rep(10 * 2 ^ 20)
      local writer = support.parked(function() return a:write(data) end)
      writer:cancel()
      local _, n, err, errno, sent = writer:join()
      assert.same({ nil, "canceled", nil }, { n, err, errno })
      assert.is_true(sent > 0 and sent < #data)
      local drained = moonpark.go(support.drain, b)
      a:close()
      assert.same({ true, sent, "eof" }, { drained:join() })
    end))

    it("that we close half-way says how much it had sent", with_pair(function(a, b)
      local data = ("x"):rep(10 * 2 ^ 20)
      local writer = support.parked(function() return a:write(data) end)
      a:close()
      local _, n, err, errno, sent = writer:join()
      assert.same({ nil, "closed", nil }, { n, err, errno })
      assert.same({ sent, "eof" }, { support.drain(b) })
    end))

    it("of one task is not mixed with another's: they queue in the order they came", with_pair(function(a, b)
      local n = 2 ^ 20
      local writers = {}
      for i, letter in ipairs { "a", "b", "c" } do
        writers[i] = moonpark.go(function() return a:write(letter:rep(n / 2), letter:rep(n / 2)) end)
      end
      local closer = moonpark.go(function()
        for _, writer in ipairs(writers) do assert.same({ true, n }, { writer:join() }) end
        a:close()
      end)
      local data = b:read_all()
      assert.is_true(data == ("a"):rep(n) .. ("b"):rep(n) .. ("c"):rep(n))
      assert.is_true(closer:join())
    end))

    it("does not wait for a read of the same end, nor the read for it", with_pair(function(a, b)
      local reader = support.parked(function() return a:read() end)
      assert.equal(4, a:write("ping"))
      assert.equal("ping", b:read())
      b:write("pong")
      assert.same({ true, "pong" }, { reader:join() })
    end))

    it("wait_writable waits until something fits", with_pair(function(a, b)
      assert.is_true(a:wait_writable())
      support.fill(a)
      local waiter = support.parked(function() return a:wait_writable() end)
      local drained = moonpark.go(support.drain, b)
      assert.same({ true, true }, { waiter:join() })
      a:close()
      assert.is_true(drained:join())
    end))

    it("refuses what is neither string nor number before anything is sent", with_pair(function(a, b)
      for _, value in ipairs { true, print, a } do
        assert.error_matches(function() a:write("sent?", value) end, "bad argument #2 to 'write'")
      end
      assert.error_matches(function() a:write("sent?", nil, "x") end, "bad argument #2 to 'write'")
      a:close()
      assert.equal("", b:read_all())
    end))

    it("takes tables of strings and numbers, in each other", with_pair(function(a, b)
      local shared = { "s", { 1.5, {} } }
      assert.equal(17, a:write("a", { "b", { "c", 1, { { "d" } } }, shared }, 2, shared, {}, { ("x"):rep(3) }))
      assert.equal("abc1ds1.52s1.5xxx", b:read_exactly(17))
      local pieces = {}
      for i = 1, 20000 do pieces[i] = { "piece ", i, "\n" } end
      local writer = moonpark.go(function() return a:write(pieces) end)
      for i = 1, 20000 do assert.equal("piece " .. i, b:read_line()) end
      assert.is_true(writer:join())
    end))

    it("takes what a table lists in its order, however the table was filled", with_pair(function(a, b)
      local backwards, thinned = {}, {}
      for i = 40, 1, -1 do backwards[i] = i .. "," end
      for i = 1, 40 do thinned[i] = i .. "," end
      for i = 40, 21, -1 do thinned[i] = nil end
      local half = table.concat(backwards, "", 1, 20)
      for _, list in ipairs { backwards, thinned, { [3] = 3, [2] = 2, [1] = 1 } } do
        local whole = table.concat(list)
        assert.equal(#whole, a:write(list, { "|" }) - 1)
        assert.equal(whole .. "|", b:read_exactly(#whole + 1))
      end
      assert.equal(half, table.concat(thinned))
    end))

    it("writes a number in a table as the same number alone", with_pair(function(a, b)
      local numbers = { 0, -0, 7, -7, 1234567890, 2 ^ 31, -2 ^ 31, 2 ^ 53, 99999999999999, 1e14, -99999999999999, -1e14,
        0.5, -0.1, 1e300, 1 / 0, -1 / 0, 5e-324 }
      for _, n in ipairs(numbers) do
        local text = tostring(n)
        for _, value in ipairs { n, { n }, { "", { n } } } do
          assert.equal(#text, a:write(value))
          assert.equal(text, b:read_exactly(#text))
        end
      end
      local whole = table.concat(numbers) .. ("x"):rep(100000)
      local writer = moonpark.go(function() return a:write { numbers, ("x"):rep(100000) } end)
      assert.is_true(whole == b:read_exactly(#whole))
      assert.is_true(writer:join())
    end))

    it("refuses what is none of these in a table before anything is sent", with_pair(function(a, b)
      local ring = {}
      ring[1] = ring
      assert.error_matches(function() a:write("sent?", ring) end, "write: more than 32 tables in each other")
      for value, kind in pairs { [true] = "boolean", [print] = "function", [a] = "userdata" } do
        assert.error_matches(function() a:write("sent?", { "x", { value } }) end,
          "write: string, number or table expected in a table, got " .. kind)
      end
      for _, hole in ipairs { { 1, nil, 3 }, { [2] = "b" }, { "a", [1000] = "z" }, { nil, "b" } } do
        assert.error_matches(function() a:write("sent?", { hole }) end, "expected in a table, got nil")
      end
      for _, key in ipairs { "name", 0, 1.5, -1, 2 ^ 40, true } do
        for _, list in ipairs { {}, { "a" }, { "a", "b", "c" } } do
          list[key] = "x"
          local ok, err = pcall(a.write, a, "sent?", list)
          assert.is_false(ok)
          assert.matches(("but this one has the key '%s'"):format(key == true and "boolean" or key), err, 1, true)
        end
      end
      a:close()
      assert.equal("", b:read_all())
    end))
  end)
end

describe("a write of a table from a finalizer", function()
  it("is refused, and leaves the bytes of others alone", function()
    local a, b = net.pipe()
    local other, peer = net.pipe()
    local function try() pcall(other.write, other, { ("Z"):rep(3000) }) end
    local pieces = {}
    for i = 1, 50 do pieces[i] = "abcdefghij" end
    for _ = 1, 5000 do
      getmetatable(newproxy(true)).__gc = try
      a:write { pieces }
      assert.equal(("abcdefghij"):rep(50), b:read_exactly(500))
    end
    other:close()
    assert.equal("", peer:read_all())
    for _, conn in ipairs { a, b, peer } do conn:close() end
  end)
end)

describe("an in-memory pair", function()
  it("holds as many bytes in each direction as it was made for", function()
    local a, b = net.pipe(10)
    local writer = support.parked(function() return a:write("0123456789abc") end)
    assert.equal("0123456789", b:read())
    assert.equal("abc", b:read())
    assert.same({ true, 13 }, { writer:join() })
    a:close()
    b:close()
  end)

  it("may hold one byte, and still everything passes in order", function()
    local a, b = net.pipe(1)
    local writer = moonpark.go(function()
      a:write("one by one\n")
      a:close()
    end)
    assert.equal("one by one", b:read_line())
    assert.is_true(writer:join())
    b:close()
  end)

  it("has no descriptor and needs no kernel", function()
    local before = support.descriptors()
    local a, b = net.pipe()
    assert.is_nil(a:fd())
    assert.equal("pipe", a:local_address())
    assert.equal("pipe", b:peer_address())
    assert.equal(before, support.descriptors())
    a:close()
    b:close()
    core.check()
  end)

  it("of no whole positive capacity is a mistake", function()
    for _, capacity in ipairs { 0, -1, 1.5, 0 / 0, "much", {} } do
      assert.error_matches(function() net.pipe(capacity) end, "bad argument")
    end
  end)
end)

---------------------------------------------------------------------------------------------------
-- system calls

ffi.cdef [[
int write_spec_socketpair(int family, int type, int protocol, int *fds) __asm__("socketpair");
int write_spec_dup2(int from, int to) __asm__("dup2");
int write_spec_close(int fd) __asm__("close");
long write_spec_recv(int fd, void *bytes, size_t n, int flags) __asm__("recv");
]]

local AF_UNIX, SOCK_SEQPACKET, SOCK_NONBLOCK, SOCK_CLOEXEC = 1, 5, 0x800, 0x80000

-- body(conn, records): what conn writes goes to a socket that keeps apart what single system calls have sent;
-- records() -> those that have come.
local function with_records(body)
  return support.on("unix", function(a)
    local fds, bytes = ffi.new "int[2]", ffi.new "char[65536]"
    assert(ffi.C.write_spec_socketpair(AF_UNIX, SOCK_SEQPACKET + SOCK_NONBLOCK + SOCK_CLOEXEC, 0, fds) == 0)
    assert(ffi.C.write_spec_dup2(fds[0], a:fd()) >= 0)
    ffi.C.write_spec_close(fds[0])
    body(a, function()
      local list = {}
      for n in function() return tonumber(ffi.C.write_spec_recv(fds[1], bytes, 65536, 0)) end do
        if n <= 0 then return list end
        list[#list + 1] = ffi.string(bytes, n)
      end
    end)
    ffi.C.write_spec_close(fds[1])
  end)
end

describe("one write is one system call", function()
  it("for one string and for many", with_records(function(conn, records)
    assert.equal(3, conn:write("one"))
    assert.equal(11, conn:write("two", "", " and ", 3, 4, "5"))
    local many = single_bytes(1024)
    assert.equal(1024, conn:write(unpack(many)))
    assert.same({ "one", "two and 345", table.concat(many) }, records())
  end))

  it("for each 1024 strings, which is all that the system takes", with_records(function(conn, records)
    local many = single_bytes(2500)
    assert.equal(2500, conn:write(unpack(many)))
    local sizes = {}
    for i, record in ipairs(records()) do sizes[i] = #record end
    assert.same({ 1024, 1024, 452 }, sizes)
  end))

  it("and none for nothing", with_records(function(conn, records)
    assert.equal(0, conn:write("", ""))
    assert.same({}, records())
  end))
end)
