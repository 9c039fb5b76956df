-- SPDX-License-Identifier: MIT
-- Deadlines and timeouts of accept, read, write and dial: what passes in time, what fails, and that
-- nothing ends before its time.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local task_state = require "support.task_state"

local PAST = -5
local NAN = 0 / 0

local function at(seconds) return moonpark.now() + seconds end

-- Reads one byte at a time, slowly, until it fails.
local function sip(conn, pause)
  while true do
    local data, err = conn:read(1)
    if not data then return err end
    moonpark.sleep(pause)
  end
end

describe("accept", function()
  it("fails when the deadline has passed, even with a connection waiting", support.listening(function(listener)
    local client = assert(net.dial(listener:address()))
    assert(listener:set_deadline(at(PAST)))
    assert.same({ nil, "timeout" }, { listener:accept() })
    assert.same({ nil, "timeout" }, { listener:accept() })
    client:close()
  end))

  it("fails when the deadline comes, not earlier", support.listening(function(listener)
    local deadline = at(0.01)
    assert(listener:set_deadline(nil))
    assert(listener:set_deadline(deadline))
    assert.same({ nil, "timeout" }, { listener:accept() })
    assert.is_true(moonpark.now() >= deadline)
  end))

  it("waits on when a past deadline is cleared", support.listening(function(listener)
    assert(listener:set_deadline(at(PAST)))
    assert(listener:set_deadline(nil))
    local acceptor = support.parked(function() return listener:accept() end)
    moonpark.sleep(0.01)
    task_state.assert_waits(acceptor)
    listener:close()
    assert.same({ true, nil, "closed" }, { acceptor:join() })
  end))

  it("delivers the connection that waited while the deadline was past", support.listening(function(listener)
    local client = assert(net.dial(listener:address()))
    assert(listener:set_deadline(at(PAST)))
    assert.same({ nil, "timeout" }, { listener:accept() })
    assert(listener:set_deadline(at(60)))
    local server = assert(listener:accept())
    assert.equal(client:local_address(), server:peer_address())
    client:close()
    server:close()
  end))
end)

for _, transport in ipairs(support.transports) do
  local function with_pair(body) return support.pair_of(transport, body) end

  describe("a deadline over " .. transport.name, function()
    it("that has passed fails a read though data is there", with_pair(function(a, b)
      assert(b:write("READ TIMEOUT TEST"))
      b:close()
      assert(a:set_deadline(at(PAST)))
      assert.same({ nil, "timeout" }, { a:read(1) })
      assert.same({ nil, "timeout" }, { a:read(1) })
      assert(a:set_deadline(nil))
      assert.equal("READ TIMEOUT TEST", a:read_all())
    end))

    it("that has passed fails a read though bytes are buffered already", with_pair(function(a, b)
      assert(b:write("one\ntwo\n"))
      assert.equal("one", a:read_line())
      assert(a:set_read_deadline(at(PAST)))
      assert.same({ nil, "timeout" }, { a:read_line() })
      assert(a:set_read_deadline(nil))
      assert.equal("two", a:read_line())
    end))

    it("that comes while data is read sip by sip fails the next read and all after it", with_pair(function(a, b)
      assert(b:write("READ TIMEOUT TEST"))
      b:close()
      local deadline = at(0.05)
      assert(a:set_read_deadline(deadline))
      assert.equal("timeout", sip(a, 0.05 / 3))
      assert.is_true(moonpark.now() >= deadline)
      assert.same({ nil, "timeout" }, { a:read(1) })
    end))

    it("that has passed fails a write though there is room", with_pair(function(a)
      assert(a:set_deadline(at(PAST)))
      assert.same({ nil, "timeout", nil, 0 }, { a:write("WRITE TIMEOUT TEST") })
      assert.same({ nil, "timeout", nil, 0 }, { a:write("WRITE TIMEOUT TEST") })
    end))

    it("that comes while nobody reads fails a write, which says how much went out", with_pair(function(a, b)
      local data = ("x"):rep(16 * 2 ^ 20)
      local writer = support.parked(function() return a:write(data) end)
      local deadline = at(0.01)
      assert(a:set_write_deadline(deadline))
      local _, n, err, errno, partial = writer:join()
      assert.same({ nil, "timeout", nil }, { n, err, errno })
      assert.is_true(moonpark.now() >= deadline)
      assert.is_true(partial > 0 and partial < #data)
      local drained = moonpark.go(support.drain, b)
      a:close()
      assert.same({ true, partial, "eof" }, { drained:join() })
    end))

    it("of a read does not end a write, nor the other way round", with_pair(function(a, b)
      local echo = moonpark.go(support.echo, b)
      assert(a:set_read_deadline(at(PAST)))
      assert.equal(4, a:write("ping"))
      assert(a:set_write_deadline(at(PAST)))
      assert(a:set_read_deadline(nil))
      assert.equal("ping", a:read_exactly(4))
      a:close()
      assert.is_true(echo:join())
    end))

    it("cleared again leaves a read waiting", with_pair(function(a, b)
      assert(a:set_deadline(at(PAST)))
      assert(a:set_write_deadline(at(PAST)))
      assert(a:set_read_deadline(nil))
      local reader = support.parked(function() return a:read(1) end)
      moonpark.sleep(0.01)
      task_state.assert_waits(reader)
      assert(b:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end))

    it("cleared again leaves a write waiting", with_pair(function(a)
      assert(a:set_deadline(at(PAST)))
      assert(a:set_read_deadline(at(PAST)))
      assert(a:set_write_deadline(nil))
      support.fill(a)
      local writer = support.parked(function() return a:write(("x"):rep(1024)) end)
      moonpark.sleep(0.01)
      task_state.assert_waits(writer)
      a:close()
      assert.same({ true, nil, "closed", nil, 0 }, { writer:join() })
    end))

    it("taken away from under a parked read leaves it waiting", with_pair(function(a, b)
      local deadline = at(0.01)
      assert(a:set_read_deadline(deadline))
      local reader = support.parked(function() return a:read() end)
      assert(a:set_read_deadline(nil))
      support.wait_until(deadline)
      support.settle()
      task_state.assert_waits(reader)
      assert(b:write("late"))
      assert.same({ true, "late" }, { reader:join() })
    end))

    it("moved later under a parked read ends it then, not at the first one", with_pair(function(a)
      local first, second = at(0.01), at(0.03)
      assert(a:set_read_deadline(first))
      local reader = support.parked(function() return a:read() end)
      assert(a:set_read_deadline(second))
      assert.same({ true, nil, "timeout" }, { reader:join() })
      assert.is_true(moonpark.now() >= second)
    end))

    it("moved sooner under a parked read ends it then", with_pair(function(a)
      local reader = moonpark.go(function() return a:read() end)
      assert(a:set_read_deadline(at(3600)))
      moonpark.yield()
      assert(a:set_read_deadline(at(0.005)))
      assert.same({ true, nil, "timeout" }, { reader:join() })
    end))

    it("moved away in the very turn in which it woke the reader is as if it had not passed", with_pair(function(a, b)
      local reader = support.parked(function() return a:read() end)
      assert(a:set_read_deadline(at(PAST))) -- the reader is ready now, but has not run
      assert.equal("ready", reader:status())
      assert(a:set_read_deadline(nil))
      support.settle()
      task_state.assert_waits(reader)
      assert(b:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end))

    it("ends a read that a flood never lets wait", with_pair(function(a, b)
      local chunk = ("flood"):rep(1000)
      local writer = moonpark.go(function() repeat until not b:write(chunk) end)
      for _, seconds in ipairs { 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 5e-3 } do
        local deadline = at(seconds)
        assert(a:set_read_deadline(deadline))
        local _, err = support.drain(a)
        assert.equal("timeout", err)
        assert.is_true(moonpark.now() >= deadline)
      end
      a:close()
      assert.is_true(writer:join())
    end))

    it("ends a write that a drain never lets wait", with_pair(function(a, b)
      local chunk = ("drain"):rep(100)
      local drained = moonpark.go(support.drain, b)
      for _, seconds in ipairs { 1e-9, 1e-6, 1e-4, 1e-3, 5e-3 } do
        assert(a:set_write_deadline(at(seconds)))
        local n, err
        repeat n, err = a:write(chunk) until not n
        assert.equal("timeout", err)
      end
      a:close()
      assert.is_true(drained:join())
    end))

    it("far ahead, set anew for each of many short operations, never fires", with_pair(function(a, b)
      local function echo_bytes()
        while true do
          assert(b:set_read_deadline(at(3600)))
          local byte = b:read(1)
          if not byte then return end
          assert(b:set_write_deadline(at(3600)))
          assert(b:write(byte))
        end
      end
      local server = moonpark.go(echo_bytes)
      for _ = 1, 500 do
        assert.equal(1, a:write("x"))
        assert.equal("x", a:read(1))
      end
      a:close()
      assert.is_true(server:join())
      b:close()
      assert.equal(0, core.stats().timers)
    end))

    it("moved by one task while others read and write leaves only timeouts and a working end", with_pair(function(a, b)
      local echo = moonpark.go(support.echo, b)
      moonpark.scope(function(scope)
        scope:go(function()
          for _ = 1, 50 do
            assert(a:set_read_deadline(at(2e-6)))
            assert(a:set_write_deadline(at(2e-6)))
            moonpark.yield()
          end
        end)
        local function each(operation)
          for _ = 1, 50 do
            local ok, err = operation()
            assert.is_true(ok ~= nil or err == "timeout", err)
          end
        end
        scope:go(each, function() return a:read(1) end)
        scope:go(each, function() return a:write("x") end)
      end)
      assert(a:set_deadline(nil))
      assert(a:write("\n"))
      assert(a:read_until("\n"))
      a:close()
      assert.is_true(echo:join())
    end))
  end)
end

describe("deadlines of many connections", function()
  it("may be set from many tasks, ever sooner", function()
    local ends = {}
    for i = 1, 5 do ends[2 * i - 1], ends[2 * i] = net.pipe() end
    local base = moonpark.now()
    moonpark.scope(function(scope)
      for task = 1, 8 do
        scope:go(function()
          for j = 30, 1, -1 do
            for k, conn in ipairs(ends) do
              assert(conn:set_read_deadline(base + 7200 + task * j * k))
              assert(conn:set_write_deadline(base + 3600 + task * j * k))
            end
            moonpark.yield()
          end
        end)
      end
    end)
    core.check()
    assert.equal(2 * #ends, core.stats().timers)
    for _, conn in ipairs(ends) do conn:close() end
    assert.equal(0, core.stats().timers)
  end)

  it("that are equal for both directions need one timer", support.on("pipe", function(a)
    assert(a:set_deadline(at(3600)))
    assert.equal(1, core.stats().timers)
    assert(a:set_write_deadline(at(7200)))
    assert.equal(2, core.stats().timers)
  end))
end)

describe("set_timeout", function()
  it("limits each operation that has to wait", support.on("tcp", function(a)
    assert(a:set_timeout(0.005))
    local before = moonpark.now()
    assert.same({ nil, "timeout" }, { a:read() })
    assert.same({ nil, "timeout" }, { a:read_line() })
    assert.is_true(moonpark.now() >= before + 0.010)
  end))

  it("counts anew for each operation", function()
    support.with_frozen_clock(function()
      local a, b = net.pipe()
      assert(a:set_timeout(10))
      local writer = moonpark.go(function()
        for _ = 1, 5 do
          moonpark.sleep(9)
          assert(b:write("x"))
        end
      end)
      for _ = 1, 5 do assert.equal("x", a:read()) end
      assert.is_true(writer:join())
      a:close()
      b:close()
    end)
  end)

  it("limits the whole of a read_line, however many pieces come in time", function()
    support.with_frozen_clock(function()
      local a, b = net.pipe()
      local began = moonpark.now()
      assert(a:set_timeout(10))
      local writer = moonpark.go(function()
        for _ = 1, 5 do
          moonpark.sleep(4)
          b:write("piece ")
        end
      end)
      assert.same({ nil, "timeout" }, { a:read_line() })
      assert.is_true(moonpark.now() >= began + 10 and moonpark.now() < began + 12)
      assert.is_true(writer:join())
      a:close()
      b:close()
    end)
  end)

  it("limits the time in the queue behind another task too", support.on("tcp", function(a, b)
    local first = support.parked(function() return a:read() end)
    assert(a:set_timeout(0.005))
    assert.same({ nil, "timeout" }, { a:read() })
    task_state.assert_waits(first)
    assert(b:write("x"))
    assert.same({ true, "x" }, { first:join() })
  end))

  it("does not touch an operation that is under way", support.on("pipe", function(a, b)
    local reader = support.parked(function() return a:read() end)
    assert(a:set_timeout(0.001))
    moonpark.sleep(0.01)
    task_state.assert_waits(reader)
    b:write("x")
    assert.same({ true, "x" }, { reader:join() })
  end))

  it("gives way to a deadline that is sooner", support.on("pipe", function(a)
    assert(a:set_timeout(3600))
    assert(a:set_deadline(at(0.005)))
    assert.same({ nil, "timeout" }, { a:read() })
  end))

  it("limits accept", support.listening(function(listener)
    assert(listener:set_timeout(0.005))
    assert.same({ nil, "timeout" }, { listener:accept() })
    assert.same({ nil, "timeout" }, { listener:accept() })
  end))

  it("limits write", support.on("tcp", function(a)
    assert(a:set_timeout(0.01))
    local _, err = a:write(("x"):rep(16 * 2 ^ 20))
    assert.equal("timeout", err)
  end))

  it("of nil or infinity is none", support.on("pipe", function(a, b)
    assert(a:set_timeout(0))
    assert.same({ nil, "timeout" }, { a:read() })
    for _, none in ipairs { "nil", math.huge } do
      assert(a:set_timeout(0))
      assert(a:set_timeout(none ~= "nil" and none or nil))
      local reader = support.parked(function() return a:read() end)
      assert(b:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end
  end))

  it("of zero or less tries once: what needs no wait succeeds", support.on("tcp", function(a, b)
    for _, seconds in ipairs { 0, -1, -1e300, -math.huge } do
      assert(a:set_timeout(seconds))
      assert.same({ nil, "timeout" }, { a:read() })
      assert(b:write("line\nrest"))
      assert(a:set_timeout(nil))
      assert(a:wait_readable())
      assert(a:set_timeout(seconds))
      assert.equal("line", a:read_line())
      assert.same({ nil, "timeout" }, { a:read_line() })
      assert.equal("rest", a:read_buffered())
      assert.equal(1, a:write("x"))
      assert.equal("x", b:read())
      local sent, err, _, before = a:write(("x"):rep(64 * 2 ^ 20))
      assert.same({ nil, "timeout" }, { sent, err })
      assert(a:set_timeout(nil))
      assert.equal(before, #b:read_exactly(before))
    end
  end))

  it("of zero sees what came after a short read, though no event has told of it", support.on("tcp", function(a, b)
    for _ = 1, 50 do
      assert(b:write("x"))
      assert(a:set_timeout(nil))
      assert.equal("x", a:read()) -- short: the next one would wait for an event
      assert(a:set_timeout(0))
      assert(b:write("y"))
      local data
      repeat data = a:read() until data
      assert.equal("y", data)
    end
  end))

  it("of zero does not queue behind another task", support.on("tcp", function(a, b)
    local reader = support.parked(function() return a:read() end)
    assert(a:set_timeout(0))
    assert.same({ nil, "timeout" }, { a:read() })
    b:write("x")
    assert.same({ true, "x" }, { reader:join() })
  end))

  it("of zero lets other tasks run", support.on("pipe", function(a, b)
    local done = false
    moonpark.go(function() b:write("x") done = true end)
    assert(a:set_timeout(0))
    repeat until a:read()
    assert.is_true(done)
  end))

  it("is for reads and writes apart", support.on("tcp", function(a, b)
    assert(a:set_timeout(0.005, "r"))
    assert(a:set_timeout(3600, "w"))
    assert.same({ nil, "timeout" }, { a:read() })
    local writer = support.parked(function() return a:write(("x"):rep(16 * 2 ^ 20)) end)
    moonpark.sleep(0.02)
    task_state.assert_waits(writer)
    assert(a:set_timeout(nil))
    local reader = support.parked(function() return a:read() end)
    moonpark.sleep(0.02)
    task_state.assert_waits(reader)
    b:close()
    reader:join()
    writer:join()
    assert.error_matches(function() a:set_timeout(1, "x") end, "invalid option 'x'")
  end))

  it("of any size up to the largest number does not overflow into the past", support.on("pipe", function(a, b)
    for _, seconds in ipairs { 1e9, 2 ^ 33, 2 ^ 53, 2 ^ 63, 1e300, 1.7976931348623157e308 } do
      assert(a:set_timeout(seconds))
      local reader = support.parked(function() return a:read() end)
      support.settle()
      assert(b:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end
  end))

  it("of NaN or of no number is a mistake", support.on("pipe", function(a)
    assert.error_matches(function() a:set_timeout(NAN) end, "NaN")
    assert.error_matches(function() a:set_timeout("soon") end, "number expected")
    assert.error_matches(function() a:set_timeout({}) end, "number expected")
  end))
end)

describe("set_wait_timeout", function()
  it("limits each wait, and progress renews it", function()
    support.with_frozen_clock(function()
      local a, b = net.pipe()
      assert(a:set_wait_timeout(10))
      local writer = moonpark.go(function()
        for _ = 1, 5 do
          moonpark.sleep(9)
          b:write("piece ")
        end
      end)
      local began = moonpark.now()
      assert.same({ nil, "timeout" }, { a:read_line() })
      assert.is_true(moonpark.now() - began >= 55 and moonpark.now() - began < 56)
      assert.equal(("piece "):rep(5), a:read_buffered())
      assert.is_true(writer:join())
      a:close()
      b:close()
    end)
  end)

  it("goes with a timeout for the whole: the earlier one counts", function()
    support.with_frozen_clock(function()
      local a, b = net.pipe()
      assert(a:set_wait_timeout(10))
      assert(a:set_timeout(25))
      local writer = moonpark.go(function()
        for _ = 1, 5 do
          moonpark.sleep(9)
          b:write("piece ")
        end
      end)
      local began = moonpark.now()
      assert.same({ nil, "timeout" }, { a:read_line() })
      assert.equal(25, math.floor(moonpark.now() - began + 0.5))
      writer:join()
      a:close()
      b:close()
    end)
  end)

  it("is for reads and writes apart, and of nil is none", support.on("tcp", function(a, b)
    assert(a:set_wait_timeout(0.005, "r"))
    assert.same({ nil, "timeout" }, { a:read() })
    local writer = support.parked(function() return a:write(("x"):rep(16 * 2 ^ 20)) end)
    moonpark.sleep(0.02)
    task_state.assert_waits(writer)
    assert(a:set_wait_timeout(nil))
    local reader = support.parked(function() return a:read() end)
    moonpark.sleep(0.02)
    task_state.assert_waits(reader)
    b:close()
    reader:join()
    writer:join()
  end))

  it("of zero tries once", support.on("tcp", function(a, b)
    assert(a:set_wait_timeout(0))
    assert.same({ nil, "timeout" }, { a:read() })
    b:write("x")
    assert(a:set_wait_timeout(nil, "r"))
    assert.equal("x", a:read())
  end))

  it("limits accepting and datagrams, too", support.listening(function(listener)
    assert(listener:set_wait_timeout(0.005))
    assert.same({ nil, "timeout" }, { listener:accept() })
    local socket = assert(net.packet "udp:127.0.0.1:0")
    assert(socket:set_wait_timeout(0.005))
    assert.same({ nil, "timeout" }, { socket:recv_from() })
    assert(socket:set_wait_timeout(0))
    assert.same({ nil, "timeout" }, { socket:recv_from() })
    socket:close()
    assert.same({ nil, "closed" }, { socket:set_wait_timeout(1) })
  end))
end)

describe("a deadline's value", function()
  it("may be infinite: then there is none", support.on("pipe", function(a, b)
    assert(a:set_deadline(at(PAST)))
    assert(a:set_deadline(math.huge))
    assert.equal(0, core.stats().timers)
    local reader = support.parked(function() return a:read() end)
    assert(b:write("x"))
    assert.same({ true, "x" }, { reader:join() })
  end))

  it("may be anything in the past, down to minus infinity", support.on("tcp", function(a)
    for _, instant in ipairs { 0, -1, -2 ^ 63, -1e300, -math.huge, at(PAST), moonpark.now() } do
      assert(a:set_deadline(nil))
      assert(a:set_deadline(instant))
      assert.same({ nil, "timeout" }, { a:read() })
      assert.same({ nil, "timeout", nil, 0 }, { a:write("x") })
    end
  end))

  it("may be huge without passing at once", support.on("pipe", function(a, b)
    for _, instant in ipairs { 2 ^ 53, 9.2e9, 2 ^ 63, 1e300 } do
      assert(a:set_deadline(instant))
      local reader = support.parked(function() return a:read() end)
      support.settle()
      assert(b:write("x"))
      assert.same({ true, "x" }, { reader:join() })
    end
  end))

  it("is a mistake when it is NaN or no number, and the old one stays", support.on("pipe", function(a)
    assert(a:set_deadline(at(PAST)))
    for _, name in ipairs { "set_deadline", "set_read_deadline", "set_write_deadline" } do
      assert.error_matches(function() a[name](a, NAN) end, "NaN")
      assert.error_matches(function() a[name](a, true) end, "number expected")
    end
    assert.same({ nil, "timeout" }, { a:read() })
  end))
end)

describe("dial", function()
  local function clogged(body)
    return function()
      local listener, conns = support.clogged()
      body(listener:address())
      for _, conn in ipairs(conns) do conn:close() end
      listener:close()
      core.check()
    end
  end

  it("fails with timeout when nobody answers in time, and not before", clogged(function(address)
    local began = moonpark.now()
    assert.same({ nil, "timeout" }, { net.dial(address, { timeout = 0.01 }) })
    assert.is_true(moonpark.now() >= began + 0.01)
    local deadline = at(0.01)
    assert.same({ nil, "timeout" }, { net.dial(address, { deadline = deadline }) })
    assert.is_true(moonpark.now() >= deadline)
  end))

  it("goes by the earlier of timeout and deadline", clogged(function(address)
    assert.same({ nil, "timeout" }, { net.dial(address, { timeout = 0.01, deadline = at(3600) }) })
    assert.same({ nil, "timeout" }, { net.dial(address, { timeout = 3600, deadline = at(0.01) }) })
  end))

  it("leaves no descriptor behind when it times out or is cancelled", clogged(function(address)
    local before = support.descriptors()
    net.dial(address, { timeout = 0.005 })
    assert.equal(before, support.descriptors())
    local dialler = support.parked(function() return net.dial(address) end)
    dialler:cancel()
    assert.same({ true, nil, "canceled" }, { dialler:join() })
    assert.equal(before, support.descriptors())
  end))

  it("fails at once with a time that has passed, whoever listens", support.listening(function(listener)
    local address = listener:address()
    for _, options in ipairs {
      { timeout = -5 }, { timeout = 0 }, { timeout = -math.huge }, { timeout = -2 ^ 63 },
      { deadline = at(PAST) }, { deadline = -math.huge }, { deadline = -2 ^ 63 },
      { timeout = -5, deadline = at(5) }, { timeout = 5, deadline = at(PAST) },
    } do
      assert.same({ nil, "timeout" }, { net.dial(address, options) })
    end
  end))

  it("takes huge and infinite times for what they are", support.listening(function(listener)
    for _, options in ipairs {
      { timeout = 2 ^ 63 }, { timeout = 1e300 }, { timeout = math.huge },
      { deadline = 2 ^ 63 }, { deadline = 1e300 }, { deadline = math.huge },
    } do
      local conn = assert(net.dial(listener:address(), options))
      conn:close()
      listener:accept():close()
    end
  end))

  it("refuses NaN and what is no number", support.listening(function(listener)
    local address = listener:address()
    assert.error_matches(function() net.dial(address, { timeout = NAN }) end, "NaN")
    assert.error_matches(function() net.dial(address, { deadline = NAN }) end, "NaN")
    assert.error_matches(function() net.dial(address, { timeout = "1" }) end, "timeout")
    assert.error_matches(function() net.dial(address, { deadline = {} }) end, "deadline")
  end))

  it("has no say in the connection's own operations", support.listening(function(listener)
    local client = assert(net.dial(listener:address(), { timeout = 5 }))
    local server = assert(listener:accept())
    support.with_frozen_clock(function()
      local reader = support.parked(function() return client:read() end)
      moonpark.sleep(10)
      task_state.assert_waits(reader)
      server:write("x")
      assert.same({ true, "x" }, { reader:join() })
    end)
    client:close()
    server:close()
  end))
end)
