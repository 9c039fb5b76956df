-- SPDX-License-Identifier: MIT
-- net.copy: from one connection to another, by hand and by splice.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local moonpark = require "moonpark"
local moving = require "support.moving"
local net = require "moonpark.net"
local support = require "support.net"
local units = require "support.units"

-- So much is spliced, where it can be; in the hard build every byte is read, or spliced, by itself.
local LARGE = core.hard and 1234 or 400000
local MUCH = 16 * 2 ^ 20     -- more than all that is on the way can hold

local random_bytes = support.random_bytes(LARGE)

-- The body of an `it`: body(a, src, dst, b): what is written to a is to be copied from src to dst and read from b.
local function chain(from, to, body)
  return moving.counted(function()
    local a, src = from.pair()
    local dst, b = to.pair()
    body(a, src, dst, b)
    for _, conn in ipairs { a, src, dst, b } do conn:close() end
    core.check()
  end)
end

-- Where to write and where to read, though in no pair of connections.
local function kernel_pipe()
  local from, to = units.pipe()
  return assert(net.from_fd(to)), assert(net.from_fd(from))
end

local transports = { ["a kernel pipe"] = { pair = kernel_pipe } }
for _, transport in ipairs(support.transports) do transports[transport.name] = transport end

-- Copies in a task of its own, which closes dst then.
local function copying(dst, src, n)
  return moonpark.go(function()
    local results = { net.copy(dst, src, n) }
    dst:close()
    return unpack(results, 1, 5)
  end)
end

local function results_of(task) return { select(2, assert(task:join())) } end

for _, way in ipairs { { "tcp", "tcp" }, { "tcp", "unix" }, { "unix", "tcp" }, { "unix", "unix" },
                       { "pipe", "tcp" }, { "tcp", "pipe" }, { "pipe", "pipe" }, { "a kernel pipe", "tcp" },
                       { "tcp", "a kernel pipe" }, { "a kernel pipe", "a kernel pipe" } } do
  local from, to = transports[way[1]], transports[way[2]]
  -- The other kinds of destination hold too little to stand in the middle of a splice.
  local stands_in_splice = way[1] ~= "pipe" and (way[2] == "tcp" or way[2] == "unix")
  local function with_chain(body) return chain(from, to, body) end

  describe(("copy from %s to %s"):format(way[1], way[2]), function()
    it("moves what there is, up to the end", with_chain(function(a, src, dst, b)
      a:write("one", "two")
      a:close()
      assert.same({ 6 }, { net.copy(dst, src) })
      assert.is_false(dst:is_closed())
      assert.is_false(src:is_closed())
      dst:close()
      assert.equal("onetwo", b:read_all())
    end))

    it("passes small messages on as they come", with_chain(function(a, src, dst, b)
      local copier = copying(dst, src)
      for i = 1, 20 do
        a:write("message ", i, "\n")
        assert.equal("message " .. i, b:read_line())
      end
      a:close()
      assert.equal("eof", (select(2, b:read())))
      assert.equal(20 * 10 + 11, results_of(copier)[1])
    end))

    it("moves a stream without a byte, and n = 0", with_chain(function(a, src, dst)
      assert.same({ 0 }, { net.copy(dst, src, 0) })
      a:close()
      assert.same({ 0 }, { net.copy(dst, src) })
    end))

    it("moves n bytes and leaves the others", with_chain(function(a, src, dst, b)
      a:write("0123456789")
      assert.same({ 4 }, { net.copy(dst, src, 4) })
      assert.same({ 1 }, { net.copy(dst, src, 1) })
      assert.equal("01234", b:read_exactly(5))
      assert.equal("56789", src:read_exactly(5))
    end))

    it("moves fewer than n where the stream ends before", with_chain(function(a, src, dst, b)
      a:write("0123456789")
      a:close()
      assert.same({ 10 }, { net.copy(dst, src, 1e15) })
      assert.same({ 0 }, { net.copy(dst, src, math.huge) })
      dst:close()
      assert.equal("0123456789", b:read_all())
    end))

    it("begins with what is buffered", with_chain(function(a, src, dst, b)
      a:write("a line\nand more")
      assert.equal("a line", src:read_line())
      a:close()
      assert.same({ 8 }, { net.copy(dst, src) })
      dst:close()
      assert.equal("and more", b:read_all())
    end))

    it("moves much, unchanged", with_chain(function(a, src, dst, b)
      local bytes = random_bytes
      local writer = moonpark.go(function()
        assert(a:write(bytes))
        a:close()
      end)
      local copier = copying(dst, src)
      assert.is_true(moving.read_whole(b) == bytes, "identical bytes")
      assert.same({ LARGE }, results_of(copier))
      writer:join()
    end))

    it("moves exactly n of much", with_chain(function(a, src, dst, b)
      local n = math.floor(LARGE * 0.9)
      local bytes = random_bytes
      local writer = moonpark.go(function()
        assert(a:write(bytes))
        a:close()
      end)
      local copier = copying(dst, src, n)
      assert.is_true(moving.read_whole(b) == bytes:sub(1, n), "identical bytes")
      assert.same({ n }, results_of(copier))
      assert.is_true(moving.read_whole(src) == bytes:sub(n + 1), "the others are still there")
      writer:join()
    end))

    for seed = 1, 2 do
      it("moves what is written and read in pieces of random sizes, unchanged #" .. seed,
        with_chain(function(a, src, dst, b)
        local bytes = support.random_bytes(LARGE, seed)
        local writer = moonpark.go(function()
          moving.write_fragmented(a, bytes, seed, 200000)
          a:close()
        end)
        local copier = copying(dst, src)
        local got, err = moving.read_fragmented(b, seed + 100, 65536)
        assert.equal("eof", err)
        assert.is_true(got == bytes, "identical bytes")
        assert.same({ LARGE }, results_of(copier))
        writer:join()
      end))
    end

    it("goes on after a read has timed out: nothing was taken", with_chain(function(a, src, dst, b)
      local bytes = random_bytes
      local writer = moonpark.go(function()
        for at = 1, #bytes, 200000 do
          assert(a:write(bytes:sub(at, at + 199999)))
          moonpark.sleep(0.002)
        end
        a:close()
      end)
      local reader = moonpark.go(moving.read_whole, b)
      local moved, timeouts = 0, 0
      repeat
        src:set_read_deadline(moonpark.now() + 0.001)
        local n, err, _, part, side = net.copy(dst, src)
        if not n then
          assert.same({ "timeout", "read" }, { err, side })
          timeouts = timeouts + 1
        end
        moved = moved + (n or part)
      until n
      dst:close()
      assert.equal(LARGE, moved)
      assert.is_true(timeouts > 0)
      assert.is_true(select(2, reader:join()) == bytes)
      writer:join()
    end))

    describe("that waits", function()
      -- A copy that has nothing to read: body(a, src, dst, b, copier).
      local function waiting(before, body)
        return with_chain(function(a, src, dst, b)
          local copier = moonpark.go(net.copy, dst, src)
          local writer = moonpark.go(a.write, a, before)
          assert.is_true(b:read_exactly(#before) == before)
          assert.is_true(writer:join())
          support.settle()
          body(a, src, dst, b, copier)
        end)
      end

      local befores = { { "for its first byte", "" }, { "after few", "abc" }, { "after many", ("m"):rep(LARGE) } }
      for _, case in ipairs(befores) do
        local what, before = case[1], case[2]
        local function fails(words, copier)
          assert.same({ nil, words, nil, #before, "read" }, { unpack(results_of(copier), 1, 5) })
        end

        it(what .. " ends at its deadline", waiting(before, function(_, src, _, _, copier)
          src:set_read_deadline(moonpark.now() + 0.005)
          fails("timeout", copier)
        end))

        it(what .. " ends when its task is cancelled", waiting(before, function(_, _, _, _, copier)
          copier:cancel()
          fails("canceled", copier)
        end))

        it(what .. " ends when the source is closed", waiting(before, function(_, src, _, _, copier)
          src:close()
          fails("closed", copier)
        end))

        it(what .. " ends with the stream", waiting(before, function(a, _, _, _, copier)
          a:close()
          assert.same({ #before }, results_of(copier))
        end))

        it(what .. " holds no kernel pipe that is not idle, and goes on", waiting(before, function(a, _, _, b, copier)
          a:write("more")
          assert.equal("more", b:read_exactly(4))
          a:close()
          assert.same({ #before + 4 }, results_of(copier))
        end))
      end
    end)

    describe("that nobody reads", function()
      -- A copy that stands because nobody reads: body(a, src, dst, b, copier).
      local function stuck(body)
        return with_chain(function(a, src, dst, b)
          local before = moving.kernel_pipes()
          local writer = moonpark.go(a.write, a, ("s"):rep(MUCH))
          local copier = moonpark.go(net.copy, dst, src)
          moving.stand_still(copier)
          assert.equal(stands_in_splice and 2 or 0, moving.kernel_pipes() - before)
          body(a, src, dst, b, copier)
          src:close()
          a:close()
          writer:join()
        end)
      end

      -- It failed so in the write, and what it says was moved is what arrives.
      local function fails(words, copier, dst, b)
        local r = results_of(copier)
        assert.same({ words, "write" }, { r[2], r[5] })
        dst:close()
        assert.same({ r[4], "eof" }, { support.drain(b) })
      end

      it("slows the writer down", stuck(function(_, _, dst, b, copier)
        dst:set_write_deadline(moonpark.now() - 1)
        fails("timeout", copier, dst, b)
      end))

      it("ends when its task is cancelled", stuck(function(_, _, dst, b, copier)
        copier:cancel()
        fails("canceled", copier, dst, b)
      end))

      it("ends when the destination is closed", stuck(function(_, _, dst, b, copier)
        dst:close()
        fails("closed", copier, dst, b)
      end))

      it("does not see the source close until it reads again", stuck(function(_, src, _, b, copier)
        src:close()
        local reader = moonpark.go(support.drain, b)
        local r = results_of(copier)
        assert.same({ "closed", "read" }, { r[2], r[5] })
        b:close()
        reader:join()
      end))

      it("ends when the reader leaves", stuck(function(_, _, _, b, copier)
        b:close()
        local r = results_of(copier)
        assert.is_true(r[2] == "broken pipe" or r[2] == "connection reset by peer", r[2])
        assert.same({ nil, "write" }, { r[1], r[5] })
        assert.is_true(r[4] > 0)
      end))
    end)

    it("says that the source was reset", with_chain(function(a, src, dst)
      if way[1] ~= "tcp" then return end -- nobody else can
      local copier = copying(dst, src)
      a:setoption("linger", 0)
      moonpark.yield()
      a:close()
      assert.same({ nil, "connection reset by peer", 104, 0, "read" }, results_of(copier))
    end))

    it("says that the source was reset after much", with_chain(function(a, src, dst, b)
      if way[1] ~= "tcp" then return end
      local copier = copying(dst, src)
      local writer = moonpark.go(a.write, a, ("x"):rep(LARGE))
      b:read_exactly(LARGE)
      writer:join()
      support.settle()
      a:setoption("linger", 0)
      a:close()
      assert.same({ nil, "connection reset by peer", 104, LARGE, "read" }, results_of(copier))
    end))

    it("fails at once in a cancelled task", with_chain(function(_, src, dst)
      local task = moonpark.go(function() return net.copy(dst, src) end)
      task:cancel()
      assert.same({ nil, "canceled", nil, 0, "read" }, results_of(task))
    end))

    it("of a closed connection fails, and says which side it was", with_chain(function(a, src, dst)
      a:write("x")
      dst:close()
      assert.same({ nil, "closed", nil, 0, "write" }, { net.copy(dst, src) })
      src:close()
      assert.same({ nil, "closed", nil, 0, "read" }, { net.copy(dst, src) })
    end))
  end)
end

for _, transport in ipairs(support.transports) do
  describe("copy over " .. transport.name, function()
    it("from a connection to itself is an echo", moving.counted(support.pair_of(transport, function(a, b)
      local bytes = random_bytes
      local echo = moonpark.go(net.copy, b, b)
      local writer = moonpark.go(function()
        moving.write_fragmented(a, bytes, 5, 200000)
        return a:close_write()
      end)
      local got = {}
      local total = 0
      while total < LARGE do
        got[#got + 1] = assert(a:read())
        total = total + #got[#got]
      end
      assert.is_true(table.concat(got) == bytes)
      assert.same({ LARGE }, results_of(echo))
      writer:join()
    end)))
  end)
end

describe("copy", function()
  it("sees urgent data as recv does: the stream goes on behind it", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local dst, b = support.connected("127.0.0.1:0")
    local half = ("h"):rep(LARGE)
    local writer = moonpark.go(function()
      assert(a:write(half))
      support.send_urgent(a, "!")
      assert(a:write(half))
      a:close()
    end)
    local copier = copying(dst, src)
    local total, err = support.drain(b)
    assert.same({ 2 * LARGE, "eof" }, { total, err })
    assert.same({ 2 * LARGE }, results_of(copier))
    writer:join()
    for _, conn in ipairs { src, dst, b } do conn:close() end
  end))

  it("is not held up by urgent data that comes before anybody waits", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local dst, b = support.connected("127.0.0.1:0")
    local copier = copying(dst, src)
    local writer = moonpark.go(a.write, a, ("x"):rep(LARGE))
    b:read_exactly(LARGE)
    writer:join()
    support.settle()
    support.send_urgent(a, "!")
    a:write("behind it")
    assert.equal("behind it", b:read_exactly(9))
    a:close()
    assert.same({ LARGE + 9 }, results_of(copier))
    for _, conn in ipairs { src, dst, b } do conn:close() end
  end))

  it("keeps its memory, and moves a hundred megabytes", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local dst, b = support.connected("127.0.0.1:0")
    local most, before = 0, core.stats().blocks
    moving.with_sparse_file(100 * 2 ^ 20, function(path)
      local sender = moonpark.go(function()
        local n = a:sendfile(path)
        a:close()
        return n
      end)
      local copier = copying(dst, src)
      local total = 0
      for data in function() return b:read() end do
        total = total + #data
        most = math.max(most, core.stats().blocks)
      end
      assert.equal(100 * 2 ^ 20, total)
      assert.same({ total }, results_of(copier))
      assert.is_true(sender:join())
    end)
    assert.is_true(most < before + 20, ("%d blocks before, %d at most"):format(before, most))
    for _, conn in ipairs { src, dst, b } do conn:close() end
  end))

  it("has many at a time, each with its own bytes", moving.counted(function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local function pair() return assert(net.dial(listener:address())), assert(listener:accept()) end
    moonpark.scope(function(scope)
      for i = 1, 10 do
        local a, src = pair()
        local dst, b = pair()
        local bytes = support.random_bytes(LARGE, i)
        scope:go(function()
          assert(a:write(bytes))
          a:close()
        end)
        scope:go(function()
          assert.equal(LARGE, net.copy(dst, src))
          dst:close()
          src:close()
        end)
        scope:go(function()
          assert.is_true(moving.read_fragmented(b, i, 65536) == bytes)
          b:close()
        end)
      end
    end)
    listener:close()
  end))

  it("stands in the dump under its name", support.on("pipe", function(a, b)
    local copier = support.parked(net.copy, a, b)
    assert.is_truthy(moonpark.dump():find("copy.lua", 1, true))
    copier:cancel()
    copier:join()
  end))

  it("takes whatever can be read, and whatever can be written", function()
    local pieces, got = { "one", "two", "three" }, {}
    local src = { read = function() return table.remove(pieces, 1), "eof" end }
    local dst = { write = function(_, data)
      got[#got + 1] = data
      return #data
    end }
    assert.same({ 11 }, { net.copy(dst, src) })
    assert.equal("onetwothree", table.concat(got))
    src = { read = function() return nil, "input/output error", 5 end }
    assert.same({ nil, "input/output error", 5, 0, "read" }, { net.copy(dst, src) })
  end)

  it("goes to a file and comes from one", function()
    moving.with_file(random_bytes, function(path)
      local a, src = net.pipe()
      local dst, b = net.pipe()
      local file = assert(fs.open(path))
      local copier = copying(dst, file)
      assert.is_true(moving.read_whole(b) == random_bytes)
      assert.same({ LARGE }, results_of(copier))
      file:close()
      file = assert(fs.open(path, "w"))
      a:write("other bytes")
      a:close()
      assert.same({ 11 }, { net.copy(file, src) })
      file:close()
      assert.equal("other bytes", fs.read(path))
      src:close()
      b:close()
    end)
  end)

  it("raises for what is no stream, and says where", support.listening(function(listener)
    local a, b = net.pipe()
    local function misuse(words, ...)
      local arguments = { n = select("#", ...), ... }
      local ok, err = pcall(function() net.copy(unpack(arguments, 1, arguments.n)) end)
      assert.is_false(ok)
      assert.is_truthy(err:find("^[^\n]*copy_spec%.lua:%d+: "), err)
      assert.is_truthy(err:find(words, 1, true), err)
    end
    misuse("bad argument #1 to 'copy' (connection expected, got nil)")
    misuse("bad argument #2 to 'copy' (connection expected, got nil)", a)
    misuse("bad argument #2 to 'copy' (connection expected, got a listener)", a, listener)
    misuse("bad argument #1 to 'copy' (connection expected, got table)", {}, b)
    misuse("bad argument #3 to 'copy' (number expected, got string)", a, b, "1")
    misuse("bad argument #3 to 'copy' (whole number of at least 0 expected)", a, b, -1)
    misuse("bad argument #3 to 'copy' (whole number of at least 0 expected)", a, b, 0.5)
    misuse("bad argument #3 to 'copy' (whole number of at least 0 expected)", a, b, 0 / 0)
    a:close()
    b:close()
  end))
end)
