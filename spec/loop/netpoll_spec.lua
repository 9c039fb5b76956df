-- SPDX-License-Identifier: MIT
-- netpoll_spec.lua - the seed. First as scripts see it, on pipes and sockets; then its inside, with events
-- that the spec makes up, so that what a kernel does once a year happens here every time.

local ffi = require "ffi"
local moonpark = require "moonpark"
local netpoll = require "moonpark.netpoll"
local core = require "moonpark.core"
local units = require "support.units"
local task_state = require "support.task_state"
local lib = units.lib

describe("moonpark.netpoll", function()
  local fds, pds, before

  before_each(function()
    fds, pds = {}, {}
    before = netpoll.stats()
  end)

  after_each(function()
    for _, pd in ipairs(pds) do
      if pd:info() then
        pd:unblock()
        pd:close()
      end
    end
    units.close(unpack(fds))
    core.check()
    local after = netpoll.stats()
    for _, what in ipairs { "outside", "waiters", "polls", "timers" } do
      assert.equal(before[what], after[what], what)
    end
  end)

  local function keep(...)
    for i = 1, select("#", ...) do fds[#fds + 1] = (select(i, ...)) end
    return ...
  end

  local function forget(fd)
    for i = #fds, 1, -1 do
      if fds[i] == fd then table.remove(fds, i) end
    end
    units.close(fd)
  end

  local function opened(fd)
    local pd = assert(netpoll.open(fd))
    pds[#pds + 1] = pd
    return pd
  end

  -- A pollDesc of one end of a pair, that end, and the other.
  local function paired()
    local a, b = keep(units.socketpair())
    return opened(a), a, b
  end

  -- One that is not ready to be written.
  local function filled()
    local pd, a, b = paired()
    units.fill(a)
    moonpark.yield()
    moonpark.yield()
    pd:reset "w"
    return pd, a, b
  end

  -- A task that is parked in that wait.
  local function waiting(pd, mode, method)
    local task = moonpark.go(function() return pd[method or "wait"](pd, mode) end)
    repeat moonpark.yield() until task:status() ~= "ready"
    task_state.assert_waits(task)
    return task
  end

  -- What the task's wait returned.
  local function ended(task) return select(2, task:join()) end
  local function outcome(task)
    local _, ok, err = task:join()
    return ok, err
  end

  local function later(seconds) return moonpark.now() + seconds end
  local function past() return moonpark.now() - 1 end

  -- Readiness to read is known, nobody has taken it, and it is no longer true.
  local function stale(pd, a, b)
    local task = waiting(pd, "r")
    units.write(b, "x")
    task:cancel()
    task:join()
    repeat moonpark.yield() until pd:info().read_ready
    assert.equal("x", units.read(a))
  end

  describe("pollServerDescriptor", function()
    it("is the poller's own descriptor, nil where the back end has none", function()
      assert.equal(netpoll.name() == "epoll", netpoll.descriptor() ~= nil)
      assert.equal(netpoll.descriptor(), netpoll.descriptor())
    end)

    it("belongs to the back end that the environment asks for", function()
      local wanted = os.getenv("MOONPARK_POLLER") or ""
      assert.equal(wanted == "" and "epoll" or wanted, netpoll.name())
    end)
  end)

  describe("pollOpen", function()
    it("registers a pipe and a socket, once each", function()
      local r, w = keep(units.pipe())
      local a = keep(units.socketpair())
      for _, fd in ipairs { r, w, a } do assert.equal(fd, opened(fd):info().fd) end
      assert.same({ nil, "file exists", units.EEXIST }, { netpoll.open(r) })
    end)

    it("refuses a regular file", function()
      assert.same({ nil, "not pollable" }, { netpoll.open((keep(units.file()))) })
    end)

    it("refuses a descriptor that is closed, and gives its place back", function()
      local r, w = units.pipe()
      units.close(r, w)
      assert.same({ nil, "bad file descriptor", units.EBADF }, { netpoll.open(r) })
      assert.equal(before.polls, netpoll.stats().polls)
    end)

    it("raises for what can be no descriptor", function()
      for _, fd in ipairs { -1, 0.5, 0 / 0, "x", {}, true } do assert.has_error(function() netpoll.open(fd) end) end
      assert.has_error(function() netpoll.open() end)
    end)

    it("leaves the descriptor to its owner", function()
      local r, w = keep(units.pipe())
      local pd = opened(r)
      pd:unblock()
      pd:close()
      units.write(w, "x")
      assert.equal("x", units.read(r))
    end)

    it("is closed by the collector where nobody holds it any more", function()
      local r, w = keep(units.pipe())
      local function forgotten() assert(netpoll.open(r)) end
      forgotten()
      collectgarbage()
      collectgarbage()
      assert.equal(before.polls, netpoll.stats().polls)
      opened(r)
      assert.is_number(w)
    end)
  end)

  describe("pollWait", function()
    it("returns at once where readiness was reported before", function()
      local pd, _, b = paired()
      units.write(b, "x")
      assert.is_true(pd:wait "r")
    end)

    it("returns readiness that came while nobody waited, without parking", function()
      local pd, a, b = paired()
      stale(pd, a, b)
      local task = moonpark.go(function() return pd:wait "r" end)
      repeat moonpark.yield() until task:status() ~= "ready"
      assert.equal("done", task:status())
      assert.is_true(ended(task))
    end)

    it("parks until the descriptor is ready", function()
      local pd, _, b = paired()
      local task = waiting(pd, "r")
      assert.equal(before.waiters + 1, netpoll.stats().waiters)
      assert.equal(before.outside + 1, netpoll.stats().outside)
      units.write(b, "x")
      assert.is_true(ended(task))
    end)

    it("takes the readiness: the next wait is for the next event", function()
      local pd, a, b = paired()
      for _ = 1, 3 do
        local task = waiting(pd, "r")
        units.write(b, "x")
        assert.is_true(ended(task))
        assert.equal("x", units.read(a))
      end
    end)

    it("waits for room to write", function()
      local pd, _, b = filled()
      local task = waiting(pd, "w")
      while units.read(b, 65536) do end
      assert.is_true(ended(task))
    end)

    it("ends on both sides when the peer closes", function()
      local pd, _, b = filled()
      local r, w = waiting(pd, "r"), waiting(pd, "w")
      forget(b)
      assert.is_true(ended(r))
      assert.is_true(ended(w))
    end)

    it("raises for a second waiter on the same side, and the first one still waits", function()
      local pd, _, b = paired()
      local first = waiting(pd, "r")
      assert.error_matches(function() pd:wait "r" end, "double wait", 1, true)
      assert.error_matches(function() pd:wait_canceled "r" end, "double wait", 1, true)
      units.write(b, "x")
      assert.is_true(ended(first))
    end)

    it("serves one waiter on each side", function()
      local pd, _, b = filled()
      local r, w = waiting(pd, "r"), waiting(pd, "w")
      units.write(b, "x")
      assert.is_true(ended(r))
      task_state.assert_waits(w)
      while units.read(b, 65536) do end
      assert.is_true(ended(w))
    end)

    it("ends with 'canceled' in a cancelled task, which leaves the side to others", function()
      local pd, _, b = paired()
      local task = waiting(pd, "r")
      task:cancel()
      assert.same({ nil, "canceled" }, { outcome(task) })
      local other = waiting(pd, "r")
      units.write(b, "x")
      assert.is_true(ended(other))
    end)

    it("raises for another mode than r and w", function()
      local pd = paired()
      for _, mode in ipairs { "rw", "x", "", 5, {} } do
        assert.has_error(function() pd:wait(mode) end)
        assert.has_error(function() pd:wait_canceled(mode) end)
        assert.has_error(function() pd:reset(mode) end)
      end
    end)

    it("raises for what is no pollDesc", function()
      local wait = paired().wait
      for _, thing in ipairs { 5, "x", {}, io.stdout, moonpark.mutex() } do
        assert.error_matches(function() wait(thing, "r") end, "pollDesc expected", 1, true)
      end
      assert.has_error(function() wait() end)
    end)
  end)

  describe("pollReset", function()
    it("clears stale readiness", function()
      local pd, a, b = paired()
      stale(pd, a, b)
      assert.is_true(pd:reset "r")
      assert.is_false(pd:info().read_ready)
      local task = waiting(pd, "r")
      units.write(b, "y")
      assert.is_true(ended(task))
    end)

    it("of one side leaves the other", function()
      local pd, a, b = paired()
      stale(pd, a, b)
      assert.is_true(pd:reset "w")
      assert.is_true(pd:info().read_ready)
    end)

    it("reports an expired deadline, and that readiness is kept", function()
      local pd, a, b = paired()
      stale(pd, a, b)
      pd:set_deadline(past(), "r")
      assert.same({ nil, "timeout" }, { pd:reset "r" })
      assert.is_true(pd:reset "w")
      assert.is_true(pd:info().read_ready)
    end)

    it("reports closing", function()
      local pd = paired()
      pd:unblock()
      assert.same({ nil, "closed" }, { pd:reset "r" })
      assert.same({ nil, "closed" }, { pd:reset "w" })
    end)

    it("does not take a waiter out", function()
      local pd, _, b = paired()
      local task = waiting(pd, "r")
      assert.is_true(pd:reset "r")
      task_state.assert_waits(task)
      units.write(b, "x")
      assert.is_true(ended(task))
    end)
  end)

  describe("pollSetDeadline", function()
    it("in the past wakes the waiter now, without a timer", function()
      local pd = paired()
      local task = waiting(pd, "r")
      pd:set_deadline(past(), "r")
      assert.equal(before.timers, netpoll.stats().timers)
      assert.equal("ready", task:status())
      assert.same({ nil, "timeout" }, { outcome(task) })
    end)

    it("at zero, below zero and minus infinity is in the past", function()
      for _, t in ipairs { 0, -5, -1e300, -math.huge } do
        local pd = paired()
        assert.is_true(pd:set_deadline(t, "rw"))
        assert.same({ nil, "timeout" }, { pd:wait "r" })
        assert.same({ nil, "timeout" }, { pd:wait "w" })
      end
    end)

    it("that has passed refuses later waits, though the descriptor is ready", function()
      local pd, _, b = paired()
      units.write(b, "x")
      pd:set_deadline(past(), "r")
      for _ = 1, 3 do assert.same({ nil, "timeout" }, { pd:wait "r" }) end
    end)

    it("ends a wait when it passes, and not early", function()
      local pd = paired()
      local deadline = later(0.005)
      pd:set_deadline(deadline, "r")
      assert.same({ nil, "timeout" }, { pd:wait "r" })
      assert.is_true(moonpark.now() >= deadline)
    end)

    it("does nothing to a wait that ends before it", function()
      local pd, _, b = paired()
      pd:set_deadline(later(3600), "rw")
      local task = waiting(pd, "r")
      units.write(b, "x")
      assert.is_true(ended(task))
    end)

    it("of nil and of infinity is none", function()
      for _, none in ipairs { false, math.huge } do
        local pd, _, b = paired()
        pd:set_deadline(past(), "r")
        pd:set_deadline(none or nil, "r")
        assert.equal(before.timers, netpoll.stats().timers)
        local task = waiting(pd, "r")
        units.write(b, "x")
        assert.is_true(ended(task))
      end
    end)

    it("that is cleared under a waiter no longer ends its wait", function()
      local pd, _, b = paired()
      pd:set_deadline(later(0.002), "r")
      local task = waiting(pd, "r")
      pd:set_deadline(nil, "r")
      moonpark.sleep(0.004)
      task_state.assert_waits(task)
      units.write(b, "x")
      assert.is_true(ended(task))
    end)

    it("that is moved later under a waiter ends its wait then", function()
      local pd = paired()
      pd:set_deadline(later(0.001), "r")
      local task = waiting(pd, "r")
      local deadline = later(0.006)
      pd:set_deadline(deadline, "r")
      assert.same({ nil, "timeout" }, { outcome(task) })
      assert.is_true(moonpark.now() >= deadline)
    end)

    it("that is moved sooner under a waiter ends its wait then", function()
      local pd = paired()
      pd:set_deadline(later(3600), "r")
      local task = waiting(pd, "r")
      pd:set_deadline(later(0.001), "r")
      assert.same({ nil, "timeout" }, { outcome(task) })
    end)

    it("that is moved while the waiter is being woken parks it again", function()
      for _, moved in ipairs { false, 3600 } do
        local pd, _, b = paired()
        local task = waiting(pd, "r")
        pd:set_deadline(past(), "r")
        assert.equal("ready", task:status()) -- woken, has not run yet
        pd:set_deadline(moved and later(moved) or nil, "r")
        moonpark.yield()
        moonpark.yield()
        task_state.assert_waits(task)
        units.write(b, "x")
        assert.is_true(ended(task))
      end
    end)

    it("revives an expired side", function()
      local pd, _, b = paired()
      pd:set_deadline(past(), "rw")
      assert.same({ nil, "timeout" }, { pd:wait "r" })
      pd:set_deadline(later(3600), "r")
      local task = waiting(pd, "r")
      units.write(b, "x")
      assert.is_true(ended(task))
      assert.same({ nil, "timeout" }, { pd:wait "w" }) -- the other is as it was
    end)

    it("of one side leaves the other", function()
      local pd, _, b = filled()
      local r, w = waiting(pd, "r"), waiting(pd, "w")
      pd:set_deadline(past(), "w")
      assert.same({ nil, "timeout" }, { outcome(w) })
      task_state.assert_waits(r)
      units.write(b, "x")
      assert.is_true(ended(r))
    end)

    it("of both sides wakes both", function()
      local pd = filled()
      local r, w = waiting(pd, "r"), waiting(pd, "w")
      pd:set_deadline(later(0.001), "rw")
      assert.same({ nil, "timeout" }, { outcome(r) })
      assert.same({ nil, "timeout" }, { outcome(w) })
    end)

    it("that is the same for both sides takes one timer", function()
      local pd = paired()
      local function timers() return netpoll.stats().timers - before.timers end
      local t = later(3600)
      pd:set_deadline(t, "rw")
      assert.equal(1, timers())
      pd:set_deadline(t + 1, "w")
      assert.equal(2, timers())
      pd:set_deadline(t + 1, "r")
      assert.equal(1, timers())
      pd:set_deadline(nil, "r")
      assert.equal(1, timers())
      pd:set_deadline(t, "r")
      assert.equal(2, timers())
      pd:set_deadline(nil, "rw")
      assert.equal(0, timers())
    end)

    it("moves without leaving timers behind", function()
      local pd = paired()
      for i = 1, 1000 do pd:set_deadline(later(3600 + i), i % 3 == 0 and "rw" or i % 3 == 1 and "r" or "w") end
      assert.is_true(netpoll.stats().timers - before.timers <= 2)
    end)

    it("raises for NaN, for what is no number, and for another mode", function()
      local pd = paired()
      for _, t in ipairs { 0 / 0, "soon", {}, true } do assert.has_error(function() pd:set_deadline(t, "r") end) end
      for _, mode in ipairs { "", "wr", "x", 1 } do assert.has_error(function() pd:set_deadline(1, mode) end) end
      assert.has_error(function() pd:set_deadline(1) end)
    end)

    it("of huge times is late and never wraps", function()
      local pd, _, b = paired()
      for _, t in ipairs { 1e10, 1e18, 1e300 } do
        pd:set_deadline(t, "r")
        local task = waiting(pd, "r")
        units.write(b, "x")
        assert.is_true(ended(task))
        pd:reset "r"
        units.read(fds[1])
      end
    end)

    it("does not survive closing", function()
      local pd = paired()
      pd:unblock()
      assert.same({ nil, "closed" }, { pd:set_deadline(later(3600), "rw") })
      assert.equal(before.timers, netpoll.stats().timers)
    end)
  end)

  describe("pollUnblock", function()
    it("wakes both sides with 'closed'", function()
      local pd = filled()
      local r, w = waiting(pd, "r"), waiting(pd, "w")
      pd:unblock()
      assert.same({ nil, "closed" }, { outcome(r) })
      assert.same({ nil, "closed" }, { outcome(w) })
    end)

    it("refuses later waits, though the descriptor is ready", function()
      local pd, _, b = paired()
      units.write(b, "x")
      pd:unblock()
      assert.same({ nil, "closed" }, { pd:wait "r" })
      assert.same({ nil, "closed" }, { pd:wait "w" })
      assert.is_true(pd:info().closing)
    end)

    it("stops the timers", function()
      local pd = paired()
      pd:set_deadline(later(3600), "r")
      pd:set_deadline(later(3601), "w")
      pd:unblock()
      assert.equal(before.timers, netpoll.stats().timers)
    end)

    it("comes before an expired deadline", function()
      local pd = paired()
      local task = waiting(pd, "r")
      pd:set_deadline(past(), "r")
      pd:unblock()
      assert.same({ nil, "closed" }, { outcome(task) })
    end)

    it("twice, and after close, is harmless", function()
      local pd = paired()
      pd:unblock()
      pd:unblock()
      pd:close()
      pd:unblock()
    end)
  end)

  describe("pollClose", function()
    it("raises where it was not unblocked first", function()
      local pd = paired()
      assert.error_matches(function() pd:close() end, "must be unblocked before", 1, true)
      assert.equal(before.polls + 1, netpoll.stats().polls)
    end)

    it("raises while somebody waits, who waits on", function()
      local pd, _, b = paired()
      local task = waiting(pd, "r")
      assert.error_matches(function() pd:close() end, "parked on it", 1, true)
      task_state.assert_waits(task)
      units.write(b, "x")
      assert.is_true(ended(task))
    end)

    it("raises the second time", function()
      local pd = paired()
      pd:unblock()
      pd:close()
      assert.error_matches(function() pd:close() end, "already closed", 1, true)
    end)

    it("leaves an object that answers 'closed'", function()
      local pd = paired()
      pd:unblock()
      pd:close()
      for _, call in ipairs { "wait", "wait_canceled", "reset" } do
        assert.same({ nil, "closed" }, { pd[call](pd, "r") })
      end
      assert.same({ nil, "closed" }, { pd:set_deadline(nil, "rw") })
      assert.same({ nil, "closed" }, { pd:info() })
    end)

    it("may come before those that were woken by unblock have run, and the place may be taken again", function()
      local pd, a, b = paired()
      local r = waiting(pd, "r")
      local slot = pd:info().slot
      pd:unblock()
      pd:close()
      local again = opened(a)
      assert.equal(slot, again:info().slot)
      units.write(b, "x")
      assert.same({ nil, "closed" }, { outcome(r) })
      assert.is_true(again:wait "r")
    end)

    it("gives the place to the next with another generation", function()
      local pd, a = paired()
      local old = pd:info()
      pd:unblock()
      pd:close()
      local new = opened(a):info()
      assert.equal(old.slot, new.slot)
      assert.not_equal(old.generation, new.generation)
    end)
  end)

  describe("pollWaitCanceled", function()
    it("returns readiness", function()
      local pd, _, b = paired()
      local task = waiting(pd, "r", "wait_canceled")
      units.write(b, "x")
      assert.is_true(ended(task))
    end)

    it("ignores a deadline that has passed, before and while it waits", function()
      local pd, a, b = paired()
      pd:set_deadline(past(), "r")
      local task = waiting(pd, "r", "wait_canceled")
      pd:set_deadline(past(), "r")
      moonpark.yield()
      moonpark.yield()
      task_state.assert_waits(task)
      units.write(b, "x")
      assert.is_true(ended(task))
      assert.equal("x", units.read(a))
    end)

    it("ignores closing, before and while it waits", function()
      for _, when in ipairs { "before", "while" } do
        local pd, _, b = paired()
        if when == "before" then pd:unblock() end
        local task = waiting(pd, "r", "wait_canceled")
        pd:unblock()
        moonpark.yield()
        moonpark.yield()
        task_state.assert_waits(task)
        assert.error_matches(function() pd:close() end, "parked on it", 1, true)
        units.write(b, "x")
        assert.is_true(ended(task))
      end
    end)

    it("ends in a task that is cancelled", function()
      local pd = paired()
      local task = waiting(pd, "r", "wait_canceled")
      task:cancel()
      assert.same({ nil, "canceled" }, { outcome(task) })
    end)
  end)

  it("tells people what a parked task waits for", function()
    local pd, a = paired()
    local task = waiting(pd, "r")
    assert.matches(("parked in poll on descriptor %d (r)"):format(a), moonpark.dump(), 1, true)
    task:cancel()
    task:join()
  end)
end)

---------------------------------------------------------------------------------------------------

local C = ffi.C
local R, W = C.POLL_R, C.POLL_W
local BOTH = C.MODE_R + C.MODE_W
local READ, WRITE, HANGUP, ERROR = C.POLLER_READ, C.POLLER_WRITE, C.POLLER_HANGUP, C.POLLER_ERROR
local PARKED, CLOSED, TIMEOUT, CANCELED = C.SCHED_PARKED, C.ERR_CLOSED, C.ERR_TIMEOUT, C.ERR_CANCELED

local kind = ffi.new("struct wait_kind", { name = "poll", attempt = lib.netpoll_waited, undo = lib.netpoll_undo })

describe("netpoll.c", function()
  local w, np

  before_each(function()
    w = units.world(true)
    np = w.netpoll
  end)

  after_each(function() w.close() end)

  local function try_open(fd)
    local slot = ffi.new("struct pollDesc *[1]")
    local r = lib.netpoll_open(np, fd or -1, slot)
    return r, slot[0]
  end

  local function open(fd)
    local r, pd = try_open(fd)
    assert.equal(0, r)
    return pd
  end

  local function close(pd)
    lib.netpoll_unblock(pd)
    w.finish_ready()
    lib.netpoll_close(pd)
  end

  local function data_of(pd) return ffi.cast("uint64_t", pd.slot) * 0x100000000ULL + pd.fdseq end

  local function happen(data, events)
    lib.netpoll_ready(np, ffi.new("struct poller_event", { data = data, events = events }))
  end

  local function ready(pd, events) happen(data_of(pd), events) end

  local function wait(t, pd, side, deadline)
    local r = lib.netpoll_wait(pd, side, t, kind, nil, deadline or 0)
    if r == PARKED then w.parked() end
    return r
  end

  -- A task that is parked on that side.
  local function waiter(pd, side, deadline)
    local t = w.running()
    assert.equal(PARKED, wait(t, pd, side, deadline))
    return t
  end

  -- The woken task looks again -> what its wait returns; it ends unless it parks again.
  local function looks(t)
    assert.equal(t, w.turn())
    local r = lib.netpoll_waited(t)
    if r == PARKED then w.parked() else lib.sched_finish(t) end
    return r
  end

  local function is_ready(pd, side) return lib.netpoll_is_ready(pd, side) end
  local function is_parked(t) return t.state == C.TASK_PARKED end

  describe("netpollready", function()
    it("wakes the reader for reading and the writer for writing", function()
      for side, events in pairs { [R] = READ, [W] = WRITE } do
        local pd = open()
        local t, other = waiter(pd, side, 9000), waiter(pd, 1 - side, 9000)
        ready(pd, events)
        assert.equal(0, looks(t))
        assert.is_true(is_parked(other))
        close(pd)
      end
    end)

    it("wakes both for both, in that order, and runs nobody", function()
      local pd = open()
      local r, wr = waiter(pd, R), waiter(pd, W)
      ready(pd, READ + WRITE)
      assert.equal(C.TASK_READY, r.state)
      assert.equal(0, looks(r))
      assert.equal(0, looks(wr))
      close(pd)
    end)

    it("leaves readiness where nobody waits, once however often it is reported", function()
      local pd = open()
      ready(pd, READ)
      ready(pd, READ)
      assert.is_true(is_ready(pd, R))
      assert.is_false(is_ready(pd, W))
      local t = w.running()
      assert.equal(0, wait(t, pd, R))
      assert.equal(PARKED, wait(t, pd, R))
      ready(pd, READ)
      assert.equal(0, looks(t))
      close(pd)
    end)

    it("does not take OUT with every segment for something a writer has to do", function()
      local pd = open()
      local t = waiter(pd, R)
      ready(pd, READ + WRITE)
      assert.equal(0, looks(t))
      assert.is_true(is_ready(pd, W)) -- stale: a writer's reset clears it
      assert.equal(0, lib.netpoll_reset(pd, W))
      assert.is_false(is_ready(pd, W))
      close(pd)
    end)

    it("wakes a wait that crosses over for either side, and a wait that does not for its own", function()
      for side, events in pairs { [R] = WRITE, [W] = READ } do
        local pd = open()
        local t = waiter(pd, side)
        ready(pd, events)
        assert.is_true(is_parked(t))
        lib.netpoll_cross(pd, side)
        ready(pd, events)
        assert.equal(0, looks(t))
        assert.is_false(is_ready(pd, side)) -- its own side has not become ready
        close(pd)
      end
    end)

    it("is not lost on a crossing wait that was woken for something else and has not run yet", function()
      for side, events in pairs { [R] = WRITE, [W] = READ } do
        local pd = open()
        local t = waiter(pd, side, 2000)
        lib.netpoll_cross(pd, side)
        lib.netpoll_set_deadline(pd, 1, BOTH) -- passed: wakes it
        lib.netpoll_set_deadline(pd, 0, BOTH) -- and is gone before it runs
        ready(pd, events)
        assert.equal(0, looks(t))
        close(pd)
      end
    end)

    it("drops what belongs to nobody: an unknown place, a closed one, the wake descriptor", function()
      local pd = open()
      local data = data_of(pd)
      happen(units.WAKE, READ + WRITE)
      happen(0x7700000000ULL, READ + WRITE)
      assert.is_false(is_ready(pd, R))
      close(pd)
      happen(data, READ + WRITE)
      assert.is_false(is_ready(pd, R))
    end)

    it("drops a stale event of a closed descriptor in the batch in which its place was taken again", function()
      local old = open()
      local stale = data_of(old)
      close(old)
      local new = open()
      assert.equal(old, new)
      local t = waiter(new, R)
      happen(stale, READ + WRITE + HANGUP)
      assert.is_true(is_parked(t))
      assert.is_false(is_ready(new, W))
      assert.is_false(new.hangup)
      ready(new, READ)
      assert.equal(0, looks(t))
      close(new)
    end)

    it("tells generations apart when their number wraps around", function()
      local pd = open()
      close(pd)
      pd.fdseq = 0xffffffff
      pd = open()
      local last = data_of(pd)
      ready(pd, WRITE)
      assert.is_true(is_ready(pd, W)) -- the last generation is one like any other
      close(pd)
      local new = open()
      assert.equal(0, new.fdseq)
      happen(last, READ)
      assert.is_false(is_ready(new, R))
      ready(new, READ)
      assert.is_true(is_ready(new, R))
      close(new)
    end)

    it("is told place and generation by the kernel as they were given to it, the last generation too", function()
      local r, wr = units.pipe()
      local pd = open()
      close(pd)
      for _, generation in ipairs { 0x7fffffff, 0x80000000, 0xffffffff, 0 } do
        pd.fdseq = generation
        assert.equal(pd, open(r))
        local t = waiter(pd, R)
        units.write(wr, "x")
        local event = ffi.new("struct poller_event[1]")
        assert.equal(1, w.poller.ops.wait(w.poller, event, 1, 1000000000LL))
        assert.equal(data_of(pd), event[0].data)
        lib.netpoll_ready(np, event)
        assert.equal(0, looks(t))
        close(pd)
        units.read(r)
      end
      units.close(r, wr)
    end)

    it("does not mix the last generation of the first place up with another place", function()
      local first, second = open(), open()
      close(first)
      first.fdseq = 0xffffffff
      first = open()
      ready(first, READ)
      assert.is_true(is_ready(first, R))
      assert.is_false(is_ready(second, R))
      close(first)
      close(second)
    end)

    it("keeps in mind that the peer has hung up", function()
      local pd = open()
      ready(pd, READ)
      assert.is_false(pd.hangup)
      ready(pd, READ + HANGUP)
      ready(pd, READ)
      assert.is_true(pd.hangup)
      close(pd)
      assert.is_false(open().hangup)
      close(pd)
    end)

    it("reports an error that comes alone to the reader, and to nobody else", function()
      local pd = open()
      local r, wr = waiter(pd, R), waiter(pd, W)
      ready(pd, READ + WRITE + HANGUP + ERROR)
      assert.equal(0, looks(r))
      assert.equal(0, looks(wr))
      assert.equal(C.ERR_NOT_POLLABLE, lib.netpoll_reset(pd, R))
      assert.equal(0, lib.netpoll_reset(pd, W))
      local t = w.running()
      assert.equal(C.ERR_NOT_POLLABLE, wait(t, pd, R))
      assert.equal(PARKED, wait(t, pd, W))
      ready(pd, WRITE)
      assert.equal(0, looks(t))
      close(pd)
    end)

    it("takes the error back with the next event that is none", function()
      local pd = open()
      ready(pd, READ + WRITE + HANGUP + ERROR)
      ready(pd, READ)
      assert.equal(0, lib.netpoll_reset(pd, R))
      close(pd)
    end)

    it("takes no reset for an error of its own", function()
      local pd = open()
      ready(pd, READ + WRITE + HANGUP)
      assert.equal(0, lib.netpoll_reset(pd, R))
      close(pd)
    end)

    it("reports a bare error of a real descriptor: a full pipe whose reader is gone", function()
      local r, wr = units.pipe()
      units.fill(wr)
      local pd = open(wr)
      local t = waiter(pd, W)
      units.close(r)
      local batch = ffi.new("struct poller_event[4]")
      repeat
        local n = w.poller.ops.wait(w.poller, batch, 4, 1000000000LL)
        assert.is_true(n > 0)
        for i = 0, n - 1 do lib.netpoll_ready(np, batch + i) end
      until not is_parked(t)
      assert.equal(0, looks(t)) -- the writer writes, and learns of it then
      assert.equal(C.ERR_NOT_POLLABLE, lib.netpoll_reset(pd, R))
      close(pd)
      units.close(wr)
    end)
  end)

  describe("netpollblock", function()
    it("refuses a double wait", function()
      local pd = open()
      local first, second = waiter(pd, R), w.running()
      assert.equal(-units.EBUSY, wait(second, pd, R))
      assert.equal(C.TASK_RUNNING, second.state)
      assert.equal(-units.EBUSY, lib.netpoll_wait_canceled(pd, R, second, kind, nil))
      lib.sched_finish(second)
      ready(pd, READ)
      assert.equal(0, looks(first))
      close(pd)
    end)

    it("leaves nothing behind where parking is refused", function()
      local pd = open()
      local t = w.running()
      assert.equal(TIMEOUT, wait(t, pd, R, -1))
      lib.sched_cancel(t)
      assert.equal(CANCELED, wait(t, pd, R))
      assert.equal(0, np.waiters)
      lib.sched_finish(t)
      local other = waiter(pd, R)
      ready(pd, READ)
      assert.equal(0, looks(other))
      close(pd)
    end)

    it("ends by the deadline of this wait alone, which leaves the side", function()
      local pd = open()
      local t = waiter(pd, R, 2000)
      w.at(2000)
      assert.equal(TIMEOUT, looks(t))
      assert.equal(0, np.waiters)
      assert.equal(0, lib.netpoll_reset(pd, R)) -- the descriptor's is not touched
      close(pd)
    end)

    it("counts those that a descriptor or a deadline can wake, from outside", function()
      local r, wr = units.pipe()
      local real, memory = open(r), open()
      local a = waiter(real, R)
      assert.equal(1, w.sched.outside)
      local b = waiter(memory, R)
      assert.equal(1, w.sched.outside)
      lib.netpoll_set_deadline(memory, 5000, C.MODE_R)
      assert.equal(2, w.sched.outside)
      lib.netpoll_set_deadline(memory, 0, C.MODE_R)
      assert.equal(1, w.sched.outside)
      lib.netpoll_set_deadline(memory, 5000, C.MODE_W) -- the other side's does not wake it
      assert.equal(1, w.sched.outside)
      lib.netpoll_report(memory, R)
      ready(real, READ)
      assert.equal(0, w.sched.outside)
      assert.equal(0, looks(b))
      assert.equal(0, looks(a))
      close(real)
      close(memory)
      units.close(r, wr)
    end)
  end)

  describe("netpollcheckerr", function()
    it("names closing first, then the deadline, then the error", function()
      local pd = open()
      ready(pd, ERROR)
      assert.equal(C.ERR_NOT_POLLABLE, lib.netpoll_reset(pd, R))
      lib.netpoll_set_deadline(pd, -1, BOTH)
      assert.equal(TIMEOUT, lib.netpoll_reset(pd, R))
      lib.netpoll_unblock(pd)
      assert.equal(CLOSED, lib.netpoll_reset(pd, R))
      close(pd)
    end)
  end)

  describe("netpollunblock", function()
    it("leaves no readiness where a deadline or a close found nobody", function()
      local pd = open()
      lib.netpoll_set_deadline(pd, 2000, BOTH)
      w.at(2000)
      assert.is_false(is_ready(pd, R) or is_ready(pd, W))
      lib.netpoll_set_deadline(pd, -1, BOTH)
      assert.is_false(is_ready(pd, R) or is_ready(pd, W))
      lib.netpoll_unblock(pd)
      assert.is_false(is_ready(pd, R) or is_ready(pd, W))
      close(pd)
    end)

    it("keeps readiness that a deadline finds", function()
      local pd = open()
      ready(pd, READ)
      lib.netpoll_set_deadline(pd, -1, BOTH)
      lib.netpoll_set_deadline(pd, 0, BOTH)
      assert.is_true(is_ready(pd, R))
      close(pd)
    end)
  end)

  describe("the deadline callbacks", function()
    local pd
    before_each(function() pd = open() end)
    after_each(function() close(pd) end)

    local function deadlines() return tonumber(pd.side[R].deadline), tonumber(pd.side[W].deadline) end

    it("netpollReadDeadline wakes the reader alone", function()
      local r, wr = waiter(pd, R), waiter(pd, W)
      lib.netpoll_set_deadline(pd, 2000, C.MODE_R)
      lib.netpoll_set_deadline(pd, 3000, C.MODE_W)
      w.at(2000)
      assert.equal(TIMEOUT, looks(r))
      assert.is_true(is_parked(wr))
      assert.same({ -1, 3000 }, { deadlines() })
    end)

    it("netpollWriteDeadline wakes the writer alone", function()
      local r, wr = waiter(pd, R), waiter(pd, W)
      lib.netpoll_set_deadline(pd, 3000, C.MODE_R)
      lib.netpoll_set_deadline(pd, 2000, C.MODE_W)
      w.at(2000)
      assert.equal(TIMEOUT, looks(wr))
      assert.is_true(is_parked(r))
      assert.same({ 3000, -1 }, { deadlines() })
    end)

    it("netpollDeadline, the shared one, wakes both", function()
      local r, wr = waiter(pd, R), waiter(pd, W)
      lib.netpoll_set_deadline(pd, 2000, C.MODE_R)
      lib.netpoll_set_deadline(pd, 2000, C.MODE_W) -- equal, however it came about
      assert.equal(1, units.armed(w.timers))
      w.at(2000)
      assert.equal(TIMEOUT, looks(r))
      assert.equal(TIMEOUT, looks(wr))
    end)

    it("the shared one is the reader's again when the writer's moves away", function()
      local r, wr = waiter(pd, R), waiter(pd, W)
      lib.netpoll_set_deadline(pd, 2000, BOTH)
      lib.netpoll_set_deadline(pd, 3000, C.MODE_W)
      w.at(2000)
      assert.equal(TIMEOUT, looks(r))
      assert.is_true(is_parked(wr))
      w.at(3000)
      assert.equal(TIMEOUT, looks(wr))
    end)

    it("the shared one is the writer's when the reader's is cleared", function()
      local r, wr = waiter(pd, R), waiter(pd, W)
      lib.netpoll_set_deadline(pd, 2000, BOTH)
      lib.netpoll_set_deadline(pd, 0, C.MODE_R)
      w.at(2000)
      assert.equal(TIMEOUT, looks(wr))
      assert.is_true(is_parked(r))
    end)

    it("write the field first: one that was moved before the waiter looks has not passed", function()
      local t = waiter(pd, R)
      lib.netpoll_set_deadline(pd, 2000, C.MODE_R)
      w.at(2000)
      assert.equal(-1LL, pd.side[R].deadline)
      lib.netpoll_set_deadline(pd, 4000, C.MODE_R)
      assert.equal(PARKED, looks(t))
      w.at(3000)
      assert.is_true(is_parked(t))
      w.at(4000)
      assert.equal(TIMEOUT, looks(t))
    end)

    it("leave the wait's own deadline as it was when it parks again", function()
      local t = waiter(pd, R, 5000)
      lib.netpoll_set_deadline(pd, -1, C.MODE_R)
      lib.netpoll_set_deadline(pd, 0, C.MODE_R)
      assert.equal(PARKED, looks(t))
      w.at(5000)
      assert.equal(TIMEOUT, looks(t))
    end)

    it("take readiness for readiness that came after they had woken the waiter", function()
      local t = waiter(pd, R)
      lib.netpoll_set_deadline(pd, -1, C.MODE_R)
      lib.netpoll_set_deadline(pd, 0, C.MODE_R)
      ready(pd, READ)
      assert.equal(0, looks(t))
      assert.is_false(is_ready(pd, R))
    end)

    it("cannot be set any more once it is closing", function()
      lib.netpoll_unblock(pd)
      assert.equal(0, lib.netpoll_set_deadline(pd, 2000, BOTH))
      assert.equal(0, lib.netpoll_set_deadline(pd, -1, C.MODE_R))
      assert.same({ 0, 0 }, { deadlines() })
      assert.equal(0, units.armed(w.timers))
    end)

    it("are stopped by unblock, and no callback comes afterwards", function()
      lib.netpoll_set_deadline(pd, 2000, C.MODE_R)
      lib.netpoll_set_deadline(pd, 2001, C.MODE_W)
      lib.netpoll_unblock(pd)
      w.at(9000)
      assert.same({ 2000, 2001 }, { deadlines() })
    end)

    if units.hard then
      it("are set or not at all where there is no memory", function()
        lib.hard_fail_alloc(1)
        assert.equal(-units.ENOMEM, lib.netpoll_set_deadline(pd, 2000, BOTH))
        lib.hard_fail_alloc(0)
        assert.same({ 0, 0 }, { deadlines() })
      end)
    end
  end)

  it("needs no memory that it might not get to split a shared timer", function()
    -- The heap is full but for the shared timer's entry, and that is not the last one.
    local pd = open()
    assert.equal(0, lib.netpoll_set_deadline(pd, 2000, BOTH))
    local fillers = ffi.new("struct timer[?]", w.timers.capacity)
    local n = 0
    while w.timers.count < w.timers.capacity do
      assert.equal(0, lib.timers_set(w.timers, fillers[n], 3000 + n))
      n = n + 1
    end
    lib.hard_fail_alloc(1)
    local r = lib.netpoll_set_deadline(pd, 0, C.MODE_R)
    lib.hard_fail_alloc(0)
    local left = { tonumber(pd.side[R].deadline), tonumber(pd.side[W].deadline) }
    if units.hard then
      assert.equal(-units.ENOMEM, r)
      assert.same({ 2000, 2000 }, left)
    else
      assert.equal(0, r)
      assert.same({ 0, 2000 }, left)
    end
    for i = 0, n - 1 do lib.timers_del(w.timers, fillers[i]) end
    close(pd)
  end)

  describe("pollUnblock and pollClose", function()
    it("wake with 'closed' even those whose place is another's by the time they look", function()
      local pd = open()
      local t = waiter(pd, R)
      lib.netpoll_unblock(pd)
      lib.netpoll_close(pd)
      local new = open()
      assert.equal(pd, new)
      ready(new, READ)
      assert.equal(CLOSED, looks(t))
      assert.is_true(is_ready(new, R)) -- not taken by the one that is gone
      close(new)
    end)

    it("break a promise in the wrong order, or with somebody parked", function()
      local prelude = [[
        local w = units.world(true)
        local slot = ffi.new("struct pollDesc *[1]")
        lib.netpoll_open(w.netpoll, -1, slot)
      ]]
      local said = units.dying(prelude .. "lib.netpoll_close(slot[0])")
      assert.matches("assertion failed: pd->open && pd->closing", said, 1, true)
      assert.matches("assertion failed: !parked_on", units.dying(prelude .. [[
        lib.netpoll_unblock(slot[0])
        local t, kind = w.running(), ffi.new("struct wait_kind")
        lib.netpoll_wait_canceled(slot[0], 0, t, kind, nil)
        lib.netpoll_close(slot[0])
      ]]), 1, true)
    end)
  end)

  describe("netpoll_watch, for one who waits for several things at once", function()
    local pd, t, place
    before_each(function()
      pd, t = open(), w.running()
      place = ffi.new("struct waiter", { task = t, index = 3 })
      units.list_init(place.link)
    end)
    after_each(function()
      lib.sched_finish(t)
      close(pd)
    end)

    it("takes the side, which wakes saying which of them it was", function()
      assert.equal(0, lib.netpoll_watch(pd, R, place))
      assert.equal(-units.EBUSY, lib.netpoll_watch(pd, R, place))
      local plain = ffi.new("struct wait_kind", { name = "several" })
      assert.equal(0, lib.sched_park(t, plain, nil, 0, C.WAIT_OUTSIDE))
      w.parked()
      ready(pd, READ)
      assert.equal(t, w.turn())
      assert.equal(3, t.wait.index)
    end)

    it("leaves readiness where it finds it", function()
      ready(pd, READ)
      assert.equal(1, lib.netpoll_watch(pd, R, place))
      assert.is_true(is_ready(pd, R))
    end)

    it("fails as a wait would", function()
      lib.netpoll_set_deadline(pd, -1, C.MODE_R)
      assert.equal(TIMEOUT, lib.netpoll_watch(pd, R, place))
      lib.netpoll_unblock(pd)
      assert.equal(CLOSED, lib.netpoll_watch(pd, W, place))
    end)

    it("is taken back by unwatch, which is harmless twice and to others", function()
      lib.netpoll_watch(pd, R, place)
      lib.netpoll_unwatch(pd, R, place)
      lib.netpoll_unwatch(pd, R, place)
      assert.equal(0, np.waiters)
      ready(pd, READ)
      lib.netpoll_unwatch(pd, R, place)
      assert.is_true(is_ready(pd, R))
    end)
  end)

  describe("netpoll_notify, for what is no task", function()
    it("hands events to its function, and no stale ones", function()
      require("jit").off(true, true)
      local pd, heard, owner = open(), {}, ffi.new("int[1]")
      local function hear(who, events)
        heard[#heard + 1] = events
        assert(who == pd and who.owner == owner)
        if events == WRITE then close(pd) end -- it may
        return true
      end
      local callback = ffi.cast("bool (*)(struct pollDesc *, uint32_t)", hear)
      lib.netpoll_notify(pd, callback, owner)
      ready(pd, READ + HANGUP)
      assert.is_true(pd.hangup)
      assert.is_false(is_ready(pd, R))
      local data = data_of(pd)
      happen(data, WRITE)
      happen(data, READ)
      assert.same({ READ + HANGUP, WRITE }, heard)
      callback:free()
    end)

    it("leaves to the tasks what its function does not use up", function()
      require("jit").off(true, true)
      local pd, heard = open(), 0
      local callback = ffi.cast("bool (*)(struct pollDesc *, uint32_t)", function()
        heard = heard + 1
        return false
      end)
      lib.netpoll_notify(pd, callback, nil)
      ready(pd, READ)
      assert.equal(1, heard)
      assert.is_true(is_ready(pd, R))
      close(pd)
      callback:free()
    end)

    it("hears again after netpoll_arm, whatever the back end", function()
      require("jit").off(true, true)
      local from, to = units.pipe()
      local pd, count = open(from), 0
      local callback = ffi.cast("bool (*)(struct pollDesc *, uint32_t)", function()
        count = count + 1
        return true
      end)
      lib.netpoll_notify(pd, callback, nil)
      local event = ffi.new("struct poller_event[1]")
      for i = 1, 3 do
        lib.netpoll_arm(pd, R)
        units.write(to, "x")
        assert.equal(1, w.poller.ops.wait(w.poller, event, 1, 1000000000LL))
        lib.netpoll_ready(np, event)
        assert.equal(i, count)
        units.read(from)
      end
      close(pd)
      callback:free()
      units.close(from, to)
    end)
  end)

  describe("a false wake", function()
    it("finds everybody in turn, and they park again", function()
      local pds, tasks = {}, {}
      for i = 1, 3 do
        pds[i] = open()
        tasks[i] = waiter(pds[i], i == 2 and W or R)
      end
      local woken = {}
      for _ = 1, 100 do
        lib.netpoll_false_wake(np)
        for i = 1, 3 do
          if not is_parked(tasks[i]) then
            woken[i] = true
            assert.equal(PARKED, looks(tasks[i]))
          end
        end
      end
      assert.same({ true, true, true }, woken)
      for i = 1, 3 do
        lib.netpoll_report(pds[i], i == 2 and W or R)
        assert.equal(0, looks(tasks[i]))
        close(pds[i])
      end
    end)
  end)

  describe("pollCache", function()
    it("gives each its own place, never moves it, and takes it back", function()
      local pds, slots = {}, {}
      for i = 1, 100 do
        pds[i] = open()
        assert.is_nil(slots[pds[i].slot])
        slots[pds[i].slot] = true
      end
      for i = 1, 100 do
        assert.equal(pds[i], lib.netpoll_slot(np, pds[i].slot))
        ready(pds[i], READ)
        assert.is_true(is_ready(pds[i], R))
      end
      local blocks = np.cache.count
      for i = 1, 100 do close(pds[i]) end
      for i = 1, 100 do pds[i] = open() end
      assert.equal(blocks, np.cache.count)
      for i = 1, 100 do close(pds[i]) end
    end)

    it("knows no place behind the last one", function()
      assert.is_true(lib.netpoll_slot(np, 0) == nil)
      local pd = open()
      assert.is_true(lib.netpoll_slot(np, np.cache.count * 1000) == nil)
      close(pd)
    end)

    it("takes the place back where the poller refuses the descriptor", function()
      local file = units.file()
      assert.equal(C.ERR_NOT_POLLABLE, (try_open(file)))
      assert.equal(0, np.opened)
      units.close(file)
      local pd = open()
      assert.equal(0, pd.slot)
      close(pd)
    end)

    it("hands a place out as new", function()
      local pd = open()
      ready(pd, READ + WRITE + HANGUP + ERROR)
      lib.netpoll_set_deadline(pd, -1, BOTH)
      close(pd)
      local new = open()
      assert.equal(pd, new)
      for side = R, W do
        assert.is_false(is_ready(new, side))
        assert.equal(0, lib.netpoll_reset(new, side))
      end
      close(new)
    end)

    if units.hard then
      it("without memory gives nothing and stays as it was", function()
        for n = 1, 2 do
          lib.hard_fail_alloc(n)
          assert.equal(-units.ENOMEM, (try_open()))
          lib.hard_fail_alloc(0)
          assert.equal(0, np.opened)
        end
        close(open())
      end)
    end
  end)

  it("lives a long random life as its table of states says", function()
    -- The model of a side: g is nil, "ready" or its waiter; deadline 0, a time, or -1: passed.
    local random, model, events, number = units.random(99), {}, {}, 0

    local function pick()
      local keys = {}
      for key in pairs(model) do keys[#keys + 1] = key end
      table.sort(keys)
      return #keys > 0 and model[keys[random(#keys)]] or nil
    end

    local function unblock(side, why)
      local me = side.g
      if type(me) == "table" then side.g, me.woken = nil, why end
    end

    local function report(me, events_bits, side, bits)
      if events_bits % (2 * bits) < bits then return end
      if type(me[side].g) == "table" then unblock(me[side], "ready") else me[side].g = "ready" end
    end

    local function deadlines_pass(now)
      for _, me in pairs(model) do
        for side = R, W do
          if not me.closing and me[side].deadline > 0 and me[side].deadline <= now then
            me[side].deadline = -1
            unblock(me[side], "look")
          end
        end
      end
    end

    local function check_error(me, side)
      return me.closing and CLOSED or me[side].deadline < 0 and TIMEOUT or 0
    end

    local function expected(me, side, t)
      if check_error(me, side) ~= 0 then return check_error(me, side) end
      if me[side].g == "ready" then
        me[side].g = nil
        return 0
      end
      if me[side].g then return -units.EBUSY end
      me[side].g = t
      return PARKED
    end

    local function run_woken(me, t)
      local want = t.woken == "ready" and 0 or expected(me, t.side, t)
      t.woken = nil
      local got = lib.netpoll_waited(t.task)
      if got ~= want then error(("waited: %d, not %d"):format(got, want)) end
      if got == PARKED then return w.parked() end
      me.tasks[tonumber(t.task.id)] = nil
      lib.sched_finish(t.task)
    end

    local function run_all()
      for task in w.turn do
        local id = tonumber(task.id)
        for _, me in pairs(model) do
          if me.tasks[id] then
            run_woken(me, me.tasks[id])
            break
          end
        end
      end
    end

    local function start_wait()
      local me, side = pick(), random(2) - 1
      if not me then return end
      run_all()
      local t = { task = w.task(), me = me, side = side }
      assert(w.turn() == t.task)
      local want = expected(me, side, t)
      local got = wait(t.task, me.pd, side)
      if got ~= want then error(("wait: %d, not %d"):format(got, want)) end
      if got ~= PARKED then lib.sched_finish(t.task) else me.tasks[tonumber(t.task.id)] = t end
    end

    local function close_one(me)
      lib.netpoll_unblock(me.pd)
      me.closing = true
      for side = R, W do unblock(me[side], "look") end
      run_all()
      lib.netpoll_close(me.pd)
      model[me.number] = nil
    end

    local steps = {
      function()
        if np.opened >= 12 then return end
        number = number + 1
        local me = { pd = open(), number = number, tasks = {}, [R] = { deadline = 0 }, [W] = { deadline = 0 } }
        model[number] = me
        events[#events % 40 + 1] = { data = data_of(me.pd), me = me }
      end,
      function() -- an event, perhaps of one that is closed
        if #events == 0 then return end
        local event, bits = events[random(#events)], random(3)
        happen(event.data, bits)
        if model[event.me.number] == event.me then
          report(event.me, bits, R, READ)
          report(event.me, bits, W, WRITE)
        end
      end,
      start_wait, start_wait,
      function()
        local me, mode = pick(), random(3)
        if not me then return end
        local what = random(4)
        local when = what == 1 and 0 or what == 2 and -1 or tonumber(w.sched.now) + random(60)
        assert(lib.netpoll_set_deadline(me.pd, when, mode) == 0)
        for side = R, W do
          if mode == 3 or mode == side + 1 then
            me[side].deadline = when
            if when < 0 then unblock(me[side], "look") end
          end
        end
      end,
      function()
        local now = w.sched.now + random(20)
        deadlines_pass(tonumber(now))
        w.at(now)
      end,
      function() if random(2) == 1 then run_all() end end,
      function()
        local me, side = pick(), random(2) - 1
        if not me then return end
        assert(lib.netpoll_reset(me.pd, side) == check_error(me, side))
        if check_error(me, side) == 0 and me[side].g == "ready" then me[side].g = nil end
      end,
      function()
        local me = random(8) == 1 and pick()
        if me then close_one(me) end
      end,
    }

    local function compare()
      local waiters = 0
      for _, me in pairs(model) do
        for side = R, W do
          assert(is_ready(me.pd, side) == (me[side].g == "ready"), "readiness")
          assert(tonumber(me.pd.side[side].deadline) == me[side].deadline, "deadline")
          waiters = waiters + (type(me[side].g) == "table" and 1 or 0)
        end
      end
      assert(np.waiters == waiters, "waiters")
    end

    for _ = 1, 20000 do
      steps[random(#steps)]()
      compare()
      w.check()
    end
    for _, me in pairs(model) do close_one(me) end
  end)
end)
