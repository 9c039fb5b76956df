-- SPDX-License-Identifier: MIT
-- How connections and listeners end: by us, by the peer, half, hard, or under somebody's feet.

local core = require "moonpark.core"
local net = require "moonpark.net"
local support = require "support.net"

local ECONNRESET, EPIPE = 104, 32

local function write_until_error(conn)
  local chunk = ("w"):rep(4096)
  while true do
    local n, err, errno = conn:write(chunk)
    if not n then return err, errno end
  end
end

local function assert_gone(err, errno)
  if err == "broken pipe" then
    assert.equal(EPIPE, errno)
  else
    assert.equal("connection reset by peer", err)
    assert.equal(ECONNRESET, errno)
  end
end

for _, transport in ipairs(support.transports) do
  local function with_pair(body) return support.pair_of(transport, body) end

  describe("close over " .. transport.name, function()
    it("fails a parked read with closed", with_pair(function(a)
      local reader = support.parked(function() return a:read() end)
      assert.is_true(a:close())
      assert.same({ true, nil, "closed" }, { reader:join() })
    end))

    it("fails a parked write with closed, which says how much went out", with_pair(function(a, b)
      support.fill(a)
      local writer = support.parked(function() return a:write("never read") end)
      a:close()
      assert.same({ true, nil, "closed", nil, 0 }, { writer:join() })
      b:close()
    end))

    it("fails a reader and a writer that are parked at the same time", with_pair(function(a)
      support.fill(a)
      local reader = support.parked(function() return a:read_line() end)
      local writer = support.parked(function() return a:write("x") end)
      a:close()
      assert.same({ true, nil, "closed" }, { reader:join() })
      assert.same({ true, nil, "closed", nil, 0 }, { writer:join() })
    end))

    it("fails waits for readiness", with_pair(function(a)
      support.fill(a)
      local readable = support.parked(function() return a:wait_readable() end)
      local writable = support.parked(function() return a:wait_writable() end)
      a:close()
      assert.same({ true, nil, "closed" }, { readable:join() })
      assert.same({ true, nil, "closed" }, { writable:join() })
    end))

    it("wins over data that came in the same turn", with_pair(function(a, b)
      local reader = support.parked(function() return a:read() end)
      b:write("too late")
      a:close()
      assert.same({ true, nil, "closed" }, { reader:join() })
    end))

    it("fails those who queue behind the first, all in the order they came", with_pair(function(a)
      support.fill(a)
      local readers, writers = {}, {}
      for i = 1, 4 do
        support.parked(function()
          assert.same({ nil, "closed" }, { a:read() })
          readers[#readers + 1] = i
        end)
        support.parked(function()
          assert.same({ nil, "closed", nil, 0 }, { a:write("x") })
          writers[#writers + 1] = i
        end)
      end
      a:close()
      support.settle()
      assert.same({ 1, 2, 3, 4 }, readers)
      assert.same({ 1, 2, 3, 4 }, writers)
    end))

    it("may be done again, and everything afterwards says closed", with_pair(function(a, b)
      for _ = 1, 3 do assert.is_true(a:close()) end
      assert.is_true(a:is_closed())
      for _, call in ipairs {
        function() return a:read() end,
        function() return a:read_exactly(0) end,
        function() return a:read_line() end,
        function() return a:read_until("\n") end,
        function() return a:read_all() end,
        function() return a:wait_readable() end,
        function() return a:wait_writable() end,
        function() return a:close_write() end,
        function() return a:set_deadline(1) end,
        function() return a:set_read_deadline(nil) end,
        function() return a:set_write_deadline(1) end,
        function() return a:set_timeout(1) end,
        function() return a:local_address() end,
        function() return a:peer_address() end,
        function() return a:fd() end,
        function() return a:setoption("nodelay", true) end,
        function() return a:getoption("nodelay") end,
      } do
        assert.same({ nil, "closed" }, { call() })
      end
      assert.same({ nil, "closed", nil, 0 }, { a:write("x") })
      assert.matches("^closed", tostring(a))
      assert.is_false(b:is_closed())
    end))

    it("gives the descriptor back", function()
      local before = support.descriptors()
      local a, b = transport.pair()
      a:close()
      b:close()
      assert.equal(before, support.descriptors())
    end)

    it("by the peer ends a parked read with eof, for ever", with_pair(function(a, b)
      local reader = support.parked(function() return a:read() end)
      b:close()
      assert.same({ true, nil, "eof" }, { reader:join() })
      assert.same({ nil, "eof" }, { a:read() })
      assert.same({ nil, "eof" }, { a:read_line() })
      assert.equal("", a:read_all())
    end))

    it("by the peer comes after the data that it sent", with_pair(function(a, b)
      b:write("last words")
      b:close()
      assert.equal("last words", a:read())
      assert.same({ nil, "eof" }, { a:read() })
    end))

    it("by the peer ends a parked write with an error and never with a signal", with_pair(function(a, b)
      support.fill(a)
      local writer = support.parked(write_until_error, a)
      b:close()
      local _, err, errno = writer:join()
      assert_gone(err, errno)
    end))

    it("by the peer makes writes fail, if not the first one", with_pair(function(a, b)
      b:close()
      assert_gone(write_until_error(a))
      assert_gone(select(2, a:write("once more")))
    end))
  end)

  describe("close_write over " .. transport.name, function()
    it("ends what the peer reads, while the other way stays open; then that ends too", with_pair(function(a, b)
      assert(a:write("question"))
      assert.is_true(a:close_write())
      assert.equal("question", b:read_all())
      assert.same({ nil, "eof" }, { b:read() })
      assert(b:write("answer"))
      assert.is_true(b:close_write())
      assert.equal("answer", a:read_all())
      assert.same({ nil, "eof" }, { a:read() })
      assert.same({ nil, "broken pipe", EPIPE, 0 }, { a:write("x") })
      assert.same({ nil, "broken pipe", EPIPE, 0 }, { b:write("x") })
    end))

    it("wakes the peer's parked read", with_pair(function(a, b)
      local reader = support.parked(function() return b:read_line() end)
      a:close_write()
      assert.same({ true, nil, "eof" }, { reader:join() })
    end))

    it("may be done again", with_pair(function(a)
      for _ = 1, 3 do assert.is_true(a:close_write()) end
    end))

    it("fails a write that is parked", with_pair(function(a, b)
      support.fill(a)
      local writer = support.parked(function() return a:write("x") end)
      a:close_write()
      assert.same({ true, nil, "broken pipe", EPIPE, 0 }, { writer:join() })
      assert.equal("eof", select(2, support.drain(b)))
    end))
  end)
end

describe("a reset by the peer", function()
  it("is told apart from its end", support.on("tcp", function(a, b)
    assert(b:setoption("linger", 0))
    b:close()
    assert.same({ nil, "connection reset by peer", ECONNRESET }, { a:read() })
  end))

  it("ends a parked read and a parked write", support.on("tcp", function(a, b)
    support.fill(a)
    local reader = support.parked(function() return a:read_line() end)
    local writer = support.parked(function() return a:write("x") end)
    assert(b:setoption("linger", 0))
    b:close()
    local _, _, read_error = reader:join()
    local _, _, write_error, write_errno = writer:join()
    assert_gone(write_error, write_errno)
    -- The kernel tells each error once: whoever comes first hears of the reset.
    assert.is_true(read_error == "connection reset by peer" or read_error == "eof", read_error)
  end))

  it("leaves the connection to be closed by us, once", support.on("tcp", function(a, b)
    assert(b:setoption("linger", 0))
    b:close()
    a:read()
    assert.is_false(a:is_closed())
    assert.is_true(a:close())
  end))
end)

describe("closing a listener", function()
  it("fails a parked accept with closed", support.listening(function(listener)
    local acceptor = support.parked(function() return listener:accept() end)
    assert.is_true(listener:close())
    assert.same({ true, nil, "closed" }, { acceptor:join() })
    assert.same({ nil, "closed" }, { listener:accept() })
    assert.same({ nil, "closed" }, { listener:address() })
    assert.is_true(listener:close())
  end))

  it("frees the address at once, though somebody was accepting", function()
    local listener = assert(net.listen(support.own_host() .. ":0"))
    local address = listener:address()
    for _ = 1, 20 do
      local acceptor = support.parked(function() return listener:accept() end)
      listener:close()
      listener = assert(net.listen(address))
      assert.same({ true, nil, "closed" }, { acceptor:join() })
    end
    listener:close()
  end)

  it("frees the address though connections of it live on", function()
    local listener = assert(net.listen(support.own_host() .. ":0"))
    local address = listener:address()
    local client = assert(net.dial(address))
    local server = assert(listener:accept())
    listener:close()
    local again = assert(net.listen(address))
    assert(client:write("still here\n"))
    assert.equal("still here", server:read_line())
    client:close()
    server:close()
    again:close()
  end)

  it("hands out no connection afterwards, even if some were waiting", support.listening(function(listener)
    local first = assert(net.dial(listener:address()))
    local second = assert(net.dial(listener:address()))
    local server = assert(listener:accept())
    listener:close()
    assert.same({ nil, "closed" }, { listener:accept() })
    local _, err = second:read()
    assert.is_true(err == "connection reset by peer" or err == "eof", err)
    first:close()
    second:close()
    server:close()
  end))

  it("fails all tasks that accept, in the order they came", support.listening(function(listener)
    local order = {}
    for i = 1, 4 do
      support.parked(function()
        assert.same({ nil, "closed" }, { listener:accept() })
        order[i] = #order + 1
      end)
    end
    listener:close()
    support.settle()
    assert.same({ 1, 2, 3, 4 }, order)
  end))

  it("ends for conn in listener:accepts()", support.listening(function(listener)
    local server = support.parked(function()
      for conn in listener:accepts() do conn:close() end
      return "ended"
    end)
    listener:close()
    assert.same({ true, "ended" }, { server:join() })
  end))
end)

describe("one listener", function()
  it("serves ten tasks that accept at once: each connection goes to one of them", support.listening(function(listener)
    local seen, accepted, acceptors = {}, 0, {}
    for i = 1, 10 do
      acceptors[i] = support.parked(function()
        while true do
          local conn, err = listener:accept()
          if not conn then return err end
          local peer = conn:peer_address()
          assert.is_nil(seen[peer])
          seen[peer] = true
          accepted = accepted + 1
          conn:close()
        end
      end)
    end
    for _ = 1, 30 do
      local client = assert(net.dial(listener:address()))
      assert.same({ nil, "eof" }, { client:read() })
      assert.is_true(seen[client:local_address()])
      client:close()
    end
    listener:close()
    for _, acceptor in ipairs(acceptors) do assert.same({ true, "closed" }, { acceptor:join() }) end
    assert.equal(30, accepted)
  end))

  it("skips a client that left before it was accepted, or hands out its end", support.listening(function(listener)
    local hasty = assert(net.dial(listener:address()))
    hasty:setoption("linger", 0)
    hasty:close()
    local client = assert(net.dial(listener:address()))
    local conn = assert(listener:accept())
    if conn:peer_address() ~= client:local_address() then
      assert.is_nil(conn:read())
      conn:close()
      conn = assert(listener:accept())
    end
    assert.equal(client:local_address(), conn:peer_address())
    client:close()
    conn:close()
  end))
end)

describe("a connection nobody refers to any more", function()
  it("is closed when it is collected", function()
    local before = support.descriptors()
    local a = (support.connected("127.0.0.1:0"))
    collectgarbage()
    collectgarbage()
    assert.equal(before + 1, support.descriptors())
    assert.same({ nil, "eof" }, { a:read() })
    a:close()
  end)

  it("is kept while a task is parked in it", function()
    local b, reader;
    (function()
      local a
      a, b = support.connected("127.0.0.1:0")
      reader = support.parked(function() return a:read() end)
    end)()
    collectgarbage()
    collectgarbage()
    assert(b:write("x"))
    assert.same({ true, "x" }, { reader:join() })
    b:close()
    collectgarbage()
    collectgarbage()
    core.check()
  end)
end)
