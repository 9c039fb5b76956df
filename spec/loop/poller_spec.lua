-- SPDX-License-Identifier: MIT
-- poller_spec.lua - the kernel half: each back end through its table of operations, one contract for both.

local ffi = require "ffi"
local bit = require "bit"
local limit_descriptors = require("support.net").limit_descriptors
local units = require "support.units"
local lib = units.lib

local C = ffi.C
local READ, WRITE, HANGUP, ERROR = C.POLLER_READ, C.POLLER_WRITE, C.POLLER_HANGUP, C.POLLER_ERROR
local WAKE = units.WAKE
local SECOND, MS = 1000000000LL, 1000000LL

local function open(name)
  local slot = ffi.new("struct poller *[1]")
  local r = lib.poller_open(slot, name)
  return r, slot[0]
end

local backends = {} -- each of them goes through the cases below
while lib.pollers[#backends] ~= nil do backends[#backends + 1] = ffi.string(lib.pollers[#backends].name) end

describe("poller_open", function()
  local function name_of(name)
    local r, p = open(name)
    assert.equal(0, r)
    local got = ffi.string(p.ops.name)
    p.ops.close(p)
    return got
  end

  it("opens the back end of that name", function()
    assert.equal("epoll", name_of "epoll")
    assert.equal("poll", name_of "poll")
  end)

  it("opens the system's best where no name is given", function()
    assert.equal("epoll", name_of(nil))
    assert.equal("epoll", name_of "")
  end)

  it("refuses a name it does not know", function()
    for _, name in ipairs { "select", "EPOLL", "epoll, poll", "epol", "epoll " } do
      assert.equal(-units.EINVAL, (open(name)), name)
    end
  end)
end)

describe("poller_names", function()
  local function names(n)
    local text = ffi.new("char[?]", n, ("x"):rep(n - 1))
    return ffi.string(lib.poller_names(text, n))
  end

  it("is what there is, the best first, each of which can be opened", function()
    assert.equal("epoll", backends[1])
    assert.is_true(#backends >= 2)
    assert.equal(table.concat(backends, ", "), names(128))
    for _, name in ipairs(backends) do
      local r, p = open(name)
      assert.equal(0, r, name)
      p.ops.close(p)
    end
  end)

  it("is cut off where it does not fit", function()
    local whole = names(128)
    for n = 1, #whole + 1 do assert.equal(whole:sub(1, n - 1), names(n)) end
  end)
end)

for _, name in ipairs(backends) do
  describe("poller_" .. name, function()
    local p, ops, max, batch, blocks

    before_each(function()
      blocks = lib.sys_allocated()
      local r
      r, p = open(name)
      assert.equal(0, r)
      ops = p.ops
      max = lib.limits.events < 64 and lib.limits.events or 64
      batch = ffi.new("struct poller_event[64]")
    end)

    after_each(function()
      ops.close(p)
      assert.equal(blocks, lib.sys_allocated())
    end)

    local function add(fd, data) assert.equal(0, ops.add(p, fd, data)) end
    local function arm(fd, events) ops.arm(p, fd, events or READ + WRITE) end

    -- What one wait reports: {[data] = events}, and how many.
    local function wait(timeout, most)
      local n = ops.wait(p, batch, most or max, timeout or 0)
      assert.is_true(n >= 0 and n <= (most or max))
      local got = {}
      for i = 0, n - 1 do got[tonumber(batch[i].data)] = batch[i].events end
      return got, n
    end

    -- The same until nothing more is reported, events of one descriptor together.
    local function drain()
      local all = {}
      repeat
        local got, n = wait()
        for data, events in pairs(got) do all[data] = bit.bor(all[data] or 0, events) end
      until n == 0
      return all
    end

    it("tells its own descriptor, or -1 where it has none", function()
      assert.equal(name == "epoll", ops.descriptor(p) >= 0)
    end)

    it("reports nothing where nothing is watched", function()
      local _, n = wait(0)
      assert.equal(0, n)
    end)

    it("waits no less than it was told", function()
      local clock = ffi.new("struct clock")
      local from = lib.clock_now(clock)
      local n, rounds = 0, 0
      while lib.clock_now(clock) - from < 3 * MS do -- a signal may end a wait early, with no events
        local left = 3 * MS - (lib.clock_now(clock) - from)
        if left <= 0 then break end
        n = ops.wait(p, batch, max, left)
        rounds = rounds + 1
      end
      assert.equal(0, n)
      assert.is_true(rounds < 50) -- it did not spin
    end)

    describe("adding", function()
      local r, w
      before_each(function() r, w = units.pipe() end)
      after_each(function() units.close(r, w) end)

      it("gives back all 64 bits with each event", function()
        local data = 0xfedcba9876543210ULL
        add(r, data)
        units.write(w, "x")
        arm(r, READ)
        assert.equal(1, ops.wait(p, batch, max, SECOND))
        assert.equal(data, batch[0].data)
      end)

      it("reports what was there before", function()
        units.write(w, "x")
        add(r, 7)
        arm(r, READ)
        assert.same({ [7] = READ }, drain())
      end)

      it("refuses a regular file: it cannot be waited on", function()
        local file = units.file()
        assert.equal(-units.EPERM, ops.add(p, file, 7))
        units.close(file)
      end)

      it("refuses a descriptor twice", function()
        add(r, 7)
        assert.equal(-units.EEXIST, ops.add(p, r, 8))
        units.write(w, "x")
        arm(r, READ)
        assert.same({ [7] = READ }, drain())
      end)

      it("knows that it is there, and whether something else has its number since", function()
        local copy, other = C.dup(r), units.socketpair()
        add(copy, 7)
        assert.is_false(ops.lost(p, copy))
        arm(copy, READ)
        assert.is_false(ops.lost(p, copy))
        assert.same({}, drain())
        units.write(w, "x")
        assert.same({ [7] = READ }, drain()) -- to look has changed nothing
        units.close(copy)
        assert.is_true(ops.lost(p, copy))
        assert.equal(copy, C.dup2(other, copy))
        assert.is_true(ops.lost(p, copy))
        ops.del(p, copy)
        add(copy, 8)
        assert.is_false(ops.lost(p, copy))
        ops.del(p, copy)
        units.close(copy, other)
      end)

      it("refuses what is no descriptor", function()
        assert.equal(-units.EBADF, ops.add(p, -1, 7))
        local closed = C.dup(r)
        units.close(closed)
        assert.equal(-units.EBADF, ops.add(p, closed, 7))
      end)

      it("works for many descriptors", function()
        local copies, want = {}, {}
        for i = 1, 100 do
          copies[i] = C.dup(r)
          add(copies[i], i)
          arm(copies[i], READ)
          want[i] = READ
        end
        units.write(w, "x")
        assert.same(want, drain())
        for i = 1, 100 do ops.del(p, copies[i]) end
        units.close(unpack(copies))
      end)
    end)

    describe("adding what other processes watch too", function()
      local r, w
      before_each(function() r, w = units.pipe() end)
      after_each(function() units.close(r, w) end)

      it("reports what was there before, and each edge after it, to be read", function()
        units.write(w, "x")
        assert.equal(0, ops.add_shared(p, r, 7))
        arm(r, READ)
        assert.same({ [7] = READ }, drain())
        assert.same({}, drain())
        units.write(w, "x")
        arm(r, READ)
        assert.same({ [7] = READ }, drain())
      end)

      it("takes it out and puts it back, as often as it is asked to", function()
        for _ = 1, 3 do
          assert.equal(0, ops.add_shared(p, r, 7))
          assert.equal(-units.EEXIST, ops.add_shared(p, r, 7))
          assert.is_false(ops.lost(p, r))
          ops.del(p, r)
          units.write(w, "x")
          assert.same({}, drain())
        end
        assert.equal(0, ops.add_shared(p, r, 7))
        arm(r, READ)
        assert.same({ [7] = READ }, drain())
      end)
    end)

    describe("an edge", function()
      local a, b
      before_each(function()
        a, b = units.socketpair()
        add(a, 7)
      end)
      after_each(function() units.close(a, b) end)

      it("is reported once, not as long as it holds", function()
        units.write(b, "x")
        arm(a, READ)
        assert.equal(READ, bit.band(drain()[7], READ))
        assert.same({}, drain())
      end)

      it("is reported again when more comes", function()
        for _ = 1, 3 do
          units.write(b, "x")
          arm(a, READ)
          assert.equal(READ, bit.band(drain()[7], READ))
        end
      end)

      it("of writing is reported when there is room again", function()
        units.fill(a)
        drain()
        arm(a, WRITE)
        assert.is_nil(drain()[7])
        while units.read(b, 65536) do end
        assert.equal(WRITE, bit.band(drain()[7], WRITE))
      end)

      it("that nobody armed for is not lost: it is there when somebody parks", function()
        units.write(b, "x")
        local before = drain()[7] or 0
        arm(a, READ)
        assert.equal(READ, bit.band(bit.bor(before, drain()[7] or 0), READ))
      end)
    end)

    describe("the end of a peer", function()
      local a, b
      before_each(function() a, b = units.socketpair() end)
      after_each(function() units.close(a) end)

      it("that closed reads as ready on both sides, with a hangup", function()
        add(a, 7)
        units.close(b)
        arm(a)
        assert.equal(READ + WRITE + HANGUP, drain()[7])
      end)

      it("that sends no more reads as ready to read, with a hangup", function()
        add(a, 7)
        units.shutdown_write(b)
        arm(a, READ)
        assert.equal(READ + HANGUP, bit.band(drain()[7], READ + HANGUP + ERROR))
        units.close(b)
      end)

      it("of which only writers wait is still reported", function()
        add(a, 7)
        units.fill(a)
        drain()
        units.close(b)
        arm(a, WRITE)
        assert.equal(WRITE + HANGUP, bit.band(drain()[7], WRITE + HANGUP))
      end)

      it("is no hangup while it is there", function()
        add(a, 7)
        units.write(b, "x")
        arm(a)
        assert.equal(0, bit.band(drain()[7], HANGUP + ERROR))
        units.close(b)
      end)
    end)

    describe("an error", function()
      it("and nothing else says that the descriptor cannot be watched", function()
        local r, w = units.pipe()
        units.fill(w)
        add(w, 7)
        drain()
        units.close(r)
        arm(w, WRITE)
        assert.equal(READ + WRITE + HANGUP + ERROR, drain()[7])
        units.close(w)
      end)

      it("together with readiness does not", function()
        local r, w = units.pipe()
        add(w, 7)
        units.close(r)
        arm(w, WRITE)
        assert.equal(READ + WRITE + HANGUP, drain()[7])
        units.close(w)
      end)
    end)

    describe("deleting", function()
      local r, w
      before_each(function() r, w = units.pipe() end)
      after_each(function() units.close(r, w) end)

      it("ends the reports", function()
        add(r, 7)
        units.write(w, "x")
        arm(r, READ)
        ops.del(p, r)
        assert.same({}, drain())
      end)

      it("lets the descriptor be added again, with other data and nothing of the old", function()
        add(r, 7)
        arm(r, READ)
        units.write(w, "x")
        ops.del(p, r)
        add(r, 8)
        arm(r, READ)
        assert.same({ [8] = READ }, drain())
      end)

      it("lets a new descriptor of the same number be added", function()
        local copy = C.dup(r)
        add(copy, 7)
        ops.del(p, copy)
        units.close(copy)
        assert.equal(copy, C.dup(r))
        add(copy, 8)
        units.write(w, "x")
        arm(copy, READ)
        assert.same({ [8] = READ }, drain())
        ops.del(p, copy)
        units.close(copy)
      end)

      it("leaves the others as they are, in whatever order they go", function()
        local copies, want = {}, {}
        for i = 1, 9 do
          copies[i] = C.dup(r)
          add(copies[i], i)
          arm(copies[i], READ)
        end
        for _, i in ipairs { 1, 9, 4, 5 } do ops.del(p, copies[i]) end
        units.write(w, "x")
        for _, i in ipairs { 2, 3, 6, 7, 8 } do want[i] = READ end
        assert.same(want, drain())
        for _, i in ipairs { 8, 2, 7, 3, 6 } do ops.del(p, copies[i]) end
        units.close(unpack(copies))
      end)
    end)

    it("passes nobody over when more are ready than are asked for, however busy the first ones are", function()
      local N, most, seen, count = 12, 3, {}, 0
      local pipes = {}
      for i = 1, N do
        pipes[i] = { units.pipe() }
        add(pipes[i][1], i)
        units.write(pipes[i][2], "x")
        arm(pipes[i][1], READ)
      end
      for _ = 1, 3 * N do
        for i in pairs((wait(0, math.min(most, max)))) do
          if not seen[i] then seen[i], count = true, count + 1 end
          units.write(pipes[i][2], "x") -- at once it is ready again
          arm(pipes[i][1], READ)
        end
      end
      assert.equal(N, count)
      for i = 1, N do
        ops.del(p, pipes[i][1])
        units.close(pipes[i][1], pipes[i][2])
      end
    end)

    it("reports the rest by the next call when more are ready than are asked for", function()
      local pipes, seen = {}, {}
      for i = 1, 5 do
        pipes[i] = { units.pipe() }
        add(pipes[i][1], i)
        units.write(pipes[i][2], "x")
        arm(pipes[i][1], READ)
      end
      for i = 1, 5 do
        local got, n = wait(SECOND, 1)
        assert.equal(1, n)
        local data = next(got)
        assert.is_nil(seen[data])
        seen[data] = i
      end
      assert.same({}, drain())
      for i = 1, 5 do
        ops.del(p, pipes[i][1])
        units.close(pipes[i][1], pipes[i][2])
      end
    end)

    describe("waking", function()
      it("ends the next wait, with data that no descriptor has", function()
        ops.wake(p)
        assert.equal(1, ops.wait(p, batch, max, -1))
        assert.equal(WAKE, batch[0].data)
      end)

      it("many times is one report", function()
        for _ = 1, 100 do ops.wake(p) end
        assert.equal(1, ops.wait(p, batch, max, -1))
        assert.equal(0, ops.wait(p, batch, max, 0))
      end)

      it("works again and again", function()
        for _ = 1, 5 do
          ops.wake(p)
          assert.equal(1, ops.wait(p, batch, max, -1))
        end
      end)

      it("does not hide readiness", function()
        local r, w = units.pipe()
        add(r, 7)
        units.write(w, "x")
        arm(r, READ)
        ops.wake(p)
        local woken, ready = false, false
        for _ = 1, 4 do
          for i = 0, ops.wait(p, batch, max, 0) - 1 do
            woken = woken or batch[i].data == WAKE
            ready = ready or batch[i].data == 7
          end
        end
        assert.is_true(woken and ready)
        units.close(r, w)
      end)
    end)

    it("reports all of them though fewer may be open now", function()
      local a, b = units.pipe()
      local c, d = units.pipe()
      add(a, 7)
      add(c, 9)
      arm(a, READ)
      arm(c, READ)
      local take_back = limit_descriptors(1)
      local _, none = wait(3 * MS)
      units.write(b, "x")
      units.write(d, "x")
      local got = drain()
      take_back()
      assert.equal(0, none)
      assert.same({ [7] = READ, [9] = READ }, got)
      units.close(a, b, c, d)
    end)

    if name == "poll" then
      it("reports nobody who is not armed, hung up or not", function()
        local r, w = units.pipe()
        add(r, 7)
        units.write(w, "x")
        units.close(w)
        assert.same({}, drain())
        arm(r, READ)
        assert.equal(READ + HANGUP, bit.band(drain()[7], READ + HANGUP))
        units.close(r)
      end)

      it("reports one direction after the other as each is armed", function()
        local a, b = units.socketpair()
        add(a, 7)
        units.write(b, "x")
        arm(a, WRITE)
        assert.same({ [7] = WRITE }, drain())
        arm(a, READ)
        assert.same({ [7] = READ }, drain())
        units.close(a, b)
      end)
    end
  end)
end
