-- SPDX-License-Identifier: MIT
-- conn, netpoll: operations on a stream that waits for the other side, holds bytes, and has a handshake.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local http = require "support.http"
local support = require "support.net"
local testing = require "moonpark.testing"
local veil = require "support.veil"

local function shake_hands(a, b)
  local other = moonpark.go(veil.handshake, b)
  assert.is_true(veil.handshake(a))
  assert.same({ true, true }, { other:join() })
end

describe("a stream over another", function()
  before_each(veil.reset)
  after_each(veil.reset)

  for _, transport in ipairs(support.transports) do
    local function pair() return veil.over(transport.pair()) end
    local function on(body) return support.pair_of({ pair = pair }, body) end

    describe("over " .. transport.name, function()
      it("is as awkward as it is meant to be", on(function(a, b)
        local writer = moonpark.go(function() return a:write(support.random_bytes(20000)) end)
        assert.equal(support.random_bytes(20000), b:read_exactly(20000))
        assert.same({ true, 20000 }, { writer:join() })
        assert.is_true(veil.count[1] > 50 and veil.count[2] > 20)
      end))

      it("waits for the other side with its own deadline, and not with that one's", on(function(a, b)
        shake_hands(a, b)
        veil.manner.stubborn = true
        a:set_write_deadline(moonpark.now() - 1)
        a:set_read_deadline(moonpark.now() + 0.02)
        assert.same({ nil, "timeout" }, { a:read() })
        a:set_deadline(nil)
        a:set_read_deadline(moonpark.now() - 1)
        a:set_write_deadline(moonpark.now() + 0.02)
        assert.same({ nil, "timeout", nil, 0 }, { a:write "x" })
      end))

      it("lets a reader and a writer wait for the same readiness, and ends both", on(function(a, b)
        shake_hands(a, b)
        veil.manner.stubborn = true
        local reader = support.parked(a.read, a)
        local writer = support.parked(a.write, a, "x")
        veil.manner.stubborn = false
        b:write "y" -- what a waits for on either side: its read and its write are tried again
        assert.same({ true, "y" }, { reader:join() })
        assert.same({ true, 1 }, { writer:join() })
        assert.equal("x", b:read())
      end))

      it("ends a wait for the other side when it is closed or cancelled", on(function(a, b)
        shake_hands(a, b)
        veil.manner.stubborn = true
        local reader = support.parked(a.read, a)
        reader:cancel()
        assert.same({ nil, "canceled" }, { select(2, reader:join()) })
        local writer = support.parked(a.write, a, "x")
        reader = support.parked(a.read, a)
        a:close()
        assert.same({ nil, "closed" }, { select(2, reader:join()) })
        assert.same({ nil, "closed", nil, 0 }, { select(2, writer:join()) })
      end))

      it("is found ready for bytes that it holds itself", on(function(a, b)
        moonpark.go(a.write, a, "xyz")
        assert.equal("x", b:read(1))
        assert.is_true(b:wait_readable())
        assert.equal(1, moonpark.select { { b, "r" }, timeout = 1 })
        assert.equal("yz", b:read_exactly(2))
      end))

      it("may have both ends in one select, where a look at one moves what the other waits for", function()
        for round = 1, 20 do
          veil.manner.odds = round % 2 * 4
          local a, b = pair()
          local reader = moonpark.go(function() return moonpark.select { { a, "r" }, { b, "r" }, timeout = 5 } end)
          moonpark.yield()
          local writer = moonpark.go(a.write, a, "x")
          assert.same({ true, 2, true }, { reader:join() })
          assert.equal("x", b:read())
          assert.same({ true, 1 }, { writer:join() })
          a:close()
          b:close()
        end
      end)

      it("has no descriptors, credentials or splices to give; a file is copied", on(function(a, b)
        assert.equal("not a unix socket", select(2, a:peer_credentials()))
        assert.is_nil((a:detach()))
        local writer = moonpark.go(a.sendfile, a, "Makefile", 0, 3000)
        local file = assert(io.open "Makefile")
        assert.equal(file:read(3000), b:read_exactly(3000))
        file:close()
        assert.same({ true, 3000 }, { writer:join() })
      end))
    end)
  end

  it("is not put over one that has received what nobody has read, or is in use", function()
    local a, b = net.pipe()
    a:write "ab"
    assert.equal("a", b:read_until "b")
    a:write "ab\nc"
    b:read_line()
    assert.equal("protocol error", select(2, veil.one(b)))
    local reader = support.parked(a.read, a)
    assert.equal("device or resource busy", select(2, veil.one(a)))
    a:close()
    assert.equal("closed", select(2, veil.one(a)))
    reader:join()
    b:close()
  end)
end)

describe("a connection of an HTTP server whose stream has a handshake", function()
  before_each(veil.reset)
  after_each(function()
    http.stop_all()
    veil.reset()
  end)

  local function started(options, handler, address)
    local listener = assert(net.listen(address or "127.0.0.1:0"))
    veil.listener(listener)
    options = options or {}
    options.listener, options.address = listener, nil
    local server = { address = listener:address() }
    server.server = assert(require("moonpark.http").server(handler or function(_, res) res:send "hello" end,
      options))
    server.task = moonpark.go(function() return server.server:run() end)
    return server
  end

  local function ended(server)
    server.server:shutdown(5)
    server.task:join()
    core.check()
  end

  it("is served after that, request after request", function()
    local server = started()
    local conn = assert(net.dial(server.address))
    veil.one(conn)
    for _ = 1, 20 do
      assert(conn:write(http.request "GET / HTTP/1.1"))
      assert.equal("hello", http.read_answer(conn).body)
    end
    conn:close()
    ended(server)
  end)

  it("is not overtaken by virtual time while it has something left to try", function()
    local server = started(nil, nil, "unix:" .. testing.tempdir() .. "/socket")
    testing.clock()
    local began = moonpark.now()
    veil.manner.odds = 2
    for _ = 1, 20 do
      local conn = assert(net.dial(server.address))
      veil.one(conn)
      assert(conn:write(http.request "GET / HTTP/1.1"))
      assert.equal("hello", http.read_answer(conn).body)
      conn:close()
    end
    assert.equal(began, moonpark.now())
    ended(server)
  end)

  it("is one whose client's scheme is https to a proxy's target", function()
    local target = http.start(function(req, res) res:send(req:header "X-Forwarded-Proto") end)
    local proxy = require("moonpark.http").proxy("http://" .. target.address)
    local server = started(nil, proxy)
    local conn = assert(net.dial(server.address))
    veil.one(conn)
    assert(conn:write(http.request "GET / HTTP/1.1"))
    assert.equal("https", http.read_answer(conn).body)
    conn:close()
    ended(server)
    proxy:close()
  end)

  it("is closed when that takes too long, without a task and without a word", function()
    local server = started { head_timeout = 0.05 }
    local conn = assert(net.dial(server.address))
    assert.same({ nil, "eof" }, { conn:read() })
    assert.equal(0, server.server:stats().idle_workers)
    conn:close()
    ended(server)
  end)

  it("is closed when what comes is no handshake", function()
    local server = started()
    local conn = assert(net.dial(server.address))
    conn:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.is_nil((conn:read()))
    conn:close()
    ended(server)
  end)

  it("does not keep a shutdown waiting", function()
    local server = started { head_timeout = 1000 }
    local conn = assert(net.dial(server.address))
    while server.server:stats().connections == 0 do moonpark.yield() end
    ended(server)
    conn:close()
  end)
end)
