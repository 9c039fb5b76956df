-- SPDX-License-Identifier: MIT
-- net.relay: two connections, both directions, each ended as its streams end.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local moving = require "support.moving"
local net = require "moonpark.net"
local support = require "support.net"

-- A relay that has given up closes, so that nobody reads from it for ever.
local function relay_and_close(left, right, options)
  local results = { net.relay(left, right, options) }
  left:close()
  right:close()
  return unpack(results, 1, 5)
end

local function results_of(task) return { select(2, assert(task:join())) } end

for _, transport in ipairs(support.transports) do
  -- body(a, b, relay, left, right): a and b talk to each other through a relay between left and right.
  local function relayed(options, body)
    return moving.counted(function()
      local a, left = transport.pair()
      local right, b = transport.pair()
      local relay = moonpark.go(net.relay, left, right, options)
      body(a, b, relay, left, right)
      for _, conn in ipairs { a, left, right, b } do conn:close() end
      core.check()
    end)
  end

  describe("relay over " .. transport.name, function()
    it("carries both directions, and says how much", relayed(nil, function(a, b, relay)
      a:write("question")
      assert.equal("question", b:read_exactly(8))
      b:write("the answer")
      assert.equal("the answer", a:read_exactly(10))
      a:close_write()
      b:close_write()
      assert.same({ 8, 10 }, results_of(relay))
    end))

    it("passes an end on, and still carries what comes the other way", relayed(nil, function(a, b, relay)
      a:write("all I have to say")
      a:close_write()
      assert.equal("all I have to say", b:read_all())
      b:write("then I may answer")
      b:close()
      assert.equal("then I may answer", a:read_all())
      assert.same({ 17, 17 }, results_of(relay))
    end))

    it("passes an end on in the other direction too", relayed(nil, function(a, b, relay)
      b:close_write()
      assert.equal("", a:read_all())
      a:write("still here")
      a:close()
      assert.equal("still here", b:read_all())
      assert.same({ 10, 0 }, results_of(relay))
    end))

    it("leaves both open when it is over", relayed(nil, function(a, b, relay, left, right)
      a:close()
      b:close()
      assert.same({ 0, 0 }, results_of(relay))
      assert.is_false(left:is_closed())
      assert.is_false(right:is_closed())
    end))

    it("carries both directions at once, unchanged", relayed(nil, function(a, b, relay)
      local n = core.hard and 1000 or 400000
      local one, two = support.random_bytes(n, 1), support.random_bytes(n, 2)
      local readers = { moonpark.go(moving.read_fragmented, b, 3, 65536),
        moonpark.go(moving.read_fragmented, a, 4, 65536) }
      moonpark.scope(function(scope)
        for conn, bytes in pairs { [a] = one, [b] = two } do
          scope:go(function()
            moving.write_fragmented(conn, bytes, 5, 100000)
            conn:close_write()
          end)
        end
      end)
      assert.is_true(results_of(readers[1])[1] == one)
      assert.is_true(results_of(readers[2])[1] == two)
      assert.same({ n, n }, results_of(relay))
    end))

    it("ends both directions when one side is closed by us", relayed(nil, function(a, _, relay, left)
      a:write("x")
      support.settle()
      left:close()
      local r = results_of(relay)
      assert.same({ nil, "closed", nil, 0 }, { r[1], r[2], r[3], r[5] })
    end))

    it("ends both directions when it is cancelled", relayed(nil, function(a, b, relay)
      a:write("x")
      assert.equal("x", b:read())
      relay:cancel()
      assert.same({ nil, "canceled", nil, 1, 0 }, { unpack(results_of(relay), 1, 5) })
    end))

    it("ends both directions when a deadline passes in one", relayed(nil, function(_, _, relay, left)
      left:set_read_deadline(moonpark.now() - 1)
      assert.same({ nil, "timeout", nil, 0, 0 }, { unpack(results_of(relay), 1, 5) })
    end))

    it("gives up when nothing goes through", relayed({ idle_timeout = 0.01 }, function(_, _, relay)
      assert.same({ nil, "timeout", nil, 0, 0 }, { unpack(results_of(relay), 1, 5) })
    end))

    it("leaves no watcher behind", relayed({ idle_timeout = 3600 }, function(a, b, relay)
      a:close()
      b:close()
      assert.same({ 0, 0 }, results_of(relay))
    end))
  end)
end

describe("relay", function()
  it("ends both directions when one side is reset, and says so", moving.counted(function()
    local a, left = support.connected("127.0.0.1:0")
    local right, b = support.connected("127.0.0.1:0")
    local relay = moonpark.go(net.relay, left, right)
    a:write("abc")
    assert.equal("abc", b:read_exactly(3))
    a:setoption("linger", 0)
    a:close()
    assert.same({ nil, "connection reset by peer", 104, 3, 0 }, results_of(relay))
    for _, conn in ipairs { left, right, b } do conn:close() end
  end))

  it("does not give up while something goes through, in either direction", function()
    local a, left = net.pipe()
    local right, b = net.pipe()
    support.with_frozen_clock(function()
      local relay = moonpark.go(net.relay, left, right, { idle_timeout = 5 })
      for _ = 1, 3 do
        a:write("x")
        assert.equal("x", b:read())
        moonpark.sleep(4)
        b:write("y")
        assert.equal("y", a:read())
        moonpark.sleep(4)
      end
      local before = moonpark.now()
      assert.same({ nil, "timeout", nil, 3, 3 }, { unpack(results_of(relay), 1, 5) })
      assert.is_true(math.abs(moonpark.now() - before - 1) < 0.001, "five seconds after the last byte")
    end)
    for _, conn in ipairs { a, left, right, b } do conn:close() end
  end)

  it("does not give up on who reads slowly, however large the pieces are", function()
    for _, transport in ipairs(support.transports) do
      local a, left = transport.pair()
      local right, b = net.pipe(1000)
      support.with_frozen_clock(function()
        local relay = moonpark.go(relay_and_close, left, right, { idle_timeout = 5 })
        a:write(("x"):rep(30000))
        for _ = 1, 30 do
          assert(b:read_exactly(1000))
          moonpark.sleep(3)
        end
        assert.same({ nil, "timeout", nil, 30000, 0 }, { unpack(results_of(relay), 1, 5) })
      end)
      a:close()
      b:close()
    end
  end)

  it("does not give up on who reads a splice slowly", moving.counted(function()
    local large, a, left = 2000000, support.connected("unix:@" .. tostring({}))
    local right, b = support.connected("unix:@" .. tostring({}))
    right:setoption("sndbuf", 1)
    local sender = moonpark.go(a.write, a, ("x"):rep(large))
    support.with_frozen_clock(function()
      local relay, got = moonpark.go(relay_and_close, left, right, { idle_timeout = 5 }), 0
      while got < large do
        got = got + #assert(b:read(65536))
        moonpark.sleep(3)
      end
      assert.same({ nil, "timeout", nil, large, 0 }, { unpack(results_of(relay), 1, 5) })
    end)
    assert(sender:join())
    a:close()
    b:close()
  end))

  it("raises for what is no connection and for unknown options, and says where", support.listening(function(listener)
    local a, b = net.pipe()
    local function misuse(words, ...)
      local arguments = { n = select("#", ...), ... }
      local ok, err = pcall(function() net.relay(unpack(arguments, 1, arguments.n)) end)
      assert.is_false(ok)
      assert.is_truthy(err:find("^[^\n]*relay_spec%.lua:%d+: "), err)
      assert.is_truthy(err:find(words, 1, true), err)
    end
    misuse("bad argument #1 to 'relay' (connection expected, got nil)")
    misuse("bad argument #2 to 'relay' (connection expected, got a listener)", a, listener)
    misuse("bad argument #2 to 'relay' (connection expected, got userdata)", a, io.stdout) -- it has no close_write
    misuse("bad argument #1 to 'relay' (connection expected, got table)", { read = print, write = print }, b)
    misuse("bad argument #3 to 'relay' (table expected, got number)", a, b, 1)
    misuse("relay: unknown option 'idle'", a, b, { idle = 1 })
    for _, seconds in ipairs { 0, -1, 0 / 0, "1" } do
      misuse("relay: option 'idle_timeout' must be a positive number of seconds", a, b, { idle_timeout = seconds })
    end
    a:close()
    b:close()
  end))
end)
