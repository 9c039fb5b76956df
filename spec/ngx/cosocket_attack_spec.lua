-- SPDX-License-Identifier: MIT
-- cosocket_attack_spec.lua - cosockets whose calls are cut short anywhere: by a cancelled task, a deadline, an error, a
-- finalizer; and a thousand tasks at once. Nothing is left behind, and the socket can be closed and used again.

local collect = require "support.collect"
local cosockets = require "support.cosockets"
local moonpark = require "moonpark"
local names = require "support.names"
local pool = require "moonpark.ngx.pool"
local support_random = require "support.random"
local testing = require "moonpark.testing"

local ngx, HOST = cosockets.ngx, cosockets.HOST

local function echo(conn)
  for line in conn:lines() do conn:write(line, "\n") end
end

-- The socket is not busy, and connects and works as a new one.
local function assert_usable(sock)
  cosockets.serving(echo, function(port)
    sock:settimeout(5000)
    assert.equal(1, sock:connect(HOST, port))
    assert.equal(6, sock:send "hello\n")
    assert.equal("hello", sock:receive())
    assert.equal(1, sock:close())
  end)
end

-- The first two results: reads have a partial one, too.
local function pair(first, second) return { first, second } end

for _, name in ipairs(cosockets.calls) do
  describe(name, function()
    it("ends when its task is cancelled", function()
      cosockets.waiting[name](function(sock, call)
        local task = cosockets.parked(function() return pair(call()) end)
        task:cancel()
        assert.same({ true, { nil, "canceled" } }, { task:join() })
        assert_usable(sock)
      end)
      assert.equal(0, pool.open "waiting")
    end)

    it("ends with its timeout", function()
      cosockets.waiting[name](function(sock, call)
        sock:settimeout(10)
        assert.same({ nil, "timeout" }, pair(call()))
        assert_usable(sock)
      end)
      assert.equal(0, pool.open "waiting")
    end)

    it("ends with a deadline around it", function()
      cosockets.waiting[name](function(sock, call)
        assert.same({ nil, "timeout" }, pair(moonpark.timeout(0.01, call)))
        assert_usable(sock)
      end)
      assert.equal(0, pool.open "waiting")
    end)

    it("leaves the socket free if it cannot wait where it was called", function()
      cosockets.waiting[name](function(sock, call)
        local ok, err = pcall(string.gsub, "x", "x", function() call() end)
        assert.is_false(ok)
        assert.matches("cannot wait here", err)
        assert_usable(sock)
      end)
      assert.equal(0, pool.open "waiting")
    end)

    it("leaves the socket free after a finalizer that called it", function()
      cosockets.waiting[name](function(sock, call)
        local ok, err
        collect.within(function() ok, err = pcall(call) end, function() return ("x"):rep(100) end)
        assert.is_false(ok)
        assert.matches("cannot wait here", err)
        assert_usable(sock)
      end)
      assert.equal(0, pool.open "waiting")
    end)
  end)
end

describe("a cosocket", function()
  it("reads on after a read that was cancelled", function()
    cosockets.serving(function(conn)
      conn:write "half"
      conn:read_line()
      conn:write " and half\n"
      conn:read()
    end, function(port)
      local sock = cosockets.connected(port)
      local task = cosockets.parked(function() return { sock:receive() } end)
      moonpark.sleep(0.01)
      task:cancel()
      assert.same({ true, { nil, "canceled", "half" } }, { task:join() })
      sock:send "\n"
      assert.equal(" and half", sock:receive())
      sock:close()
    end)
  end)

  it("ends a send of a table in a finalizer after many that were compiled", function()
    cosockets.serving(function(conn) while conn:read() do end end, function(port)
      local sock, pieces = cosockets.connected(port), {}
      for i = 1, 100 do pieces[i] = "x" end
      for _ = 1, 50 do assert.equal(100, sock:send(pieces)) end -- what looks at them is compiled by now
      for _, other in ipairs { { {}, { "x" } }, { 1, 2 }, { { { "x" } }, 1 }, { a = 1 }, { 1, "x" } } do
        local ok, err
        collect.within(function() ok, err = pcall(sock.send, sock, other) end, function() return ("x"):rep(100) end)
        assert.is_false(ok)
        assert.matches("cannot wait here", err)
      end
      assert.equal(1, sock:send "x")
      assert.equal(1, sock:close())
    end)
  end)

  it("is closed by a finalizer", function()
    cosockets.serving(cosockets.silent, function(port)
      local options = { pool = "finalized", pool_size = 1, backlog = 0 }
      local sock = cosockets.connected(port, options)
      local closed
      collect.within(function() closed = sock:close() end, function() return ("x"):rep(100) end)
      assert.equal(1, closed)
      assert.equal(0, pool.open "finalized")
      assert.same({ nil, "closed" }, { sock:receive() })
    end)
  end)

  it("that is collected leaves its place to one that waits", function()
    cosockets.serving(cosockets.silent, function(port)
      local options = { pool = "collected", pool_size = 1, backlog = 1 }
      cosockets.connected(port, options)
      local waiter = cosockets.parked(function() return cosockets.connected(port, options) end)
      collectgarbage()
      collectgarbage()
      local ok, sock = waiter:join()
      assert.is_true(ok)
      assert.equal(1, pool.open "collected")
      assert.equal(1, sock:close())
      assert.equal(0, pool.open "collected")
    end)
  end)

  it("is not busy after an error that was raised out of a call", function()
    cosockets.serving(echo, function(port)
      local sock = cosockets.connected(port)
      for _ = 1, 3 do
        assert.is_false(pcall(table.sort, { 2, 1 }, function() return sock:receive() end))
        assert.is_false(pcall(sock.send, sock, { {}, { print } }))
        assert.is_false(pcall(sock.receive, sock, {}))
        assert.is_false(pcall(sock.receiveany, sock, -1))
      end
      local nested = {}
      for _ = 1, 100 do nested = { nested } end
      assert.is_false(pcall(sock.send, sock, nested))
      assert.equal(6, sock:send "hello\n")
      assert.equal("hello", sock:receive())
      assert.equal(1, sock:setkeepalive())
      pool.clear()
    end)
  end)

  it("of datagrams is free after a call that was cut short", function()
    local sock = ngx.socket.udp()
    assert.equal(1, sock:setpeername(HOST, 9))
    for _, cut in ipairs {
      function() return pcall(string.gsub, "x", "x", function() sock:receive() end) end,
      function() return moonpark.timeout(0.01, function() return nil, (select(2, sock:receive())) end) end,
      function()
        local task = cosockets.parked(function() return sock:receive() end)
        task:cancel()
        return select(2, task:join())
      end,
    } do
      assert.is_falsy((cut()))
      assert.same({ nil, "socket busy" }, { (function()
        local task = cosockets.parked(function() return sock:receive() end)
        local one, two = sock:receive()
        task:cancel()
        task:join()
        return one, two
      end)() })
    end
    assert.equal(1, sock:close())
  end)

  it("has words for any text as a host, seed 13", function()
    local random = support_random.new(13)
    local pieces = { "[", "]", ":", "::", ".", "/", "?", "%", "unix:", "UNIX:", "x", "1", "0", "\0", " ", "-", "@", "*",
      "\255", "..", "127.0.0.1", "name", ("y"):rep(70) }
    names.known({}, function()
      for _ = 1, 1000 do
        local host = {}
        for i = 1, random(5) do host[i] = pieces[random(#pieces)] end
        host = table.concat(host)
        local sock, udp = ngx.socket.tcp(), ngx.socket.udp()
        sock:settimeout(50)
        local ok, err = sock:connect(host, 1, { pool = "words", pool_size = 1, backlog = 0 })
        assert.is_true(ok == 1 or type(err) == "string", host)
        sock:close()
        ok, err = udp:setpeername(host, 1)
        assert.is_true(ok == 1 or type(err) == "string", host)
        udp:close()
      end
    end)
    assert.equal(0, pool.open "words")
  end)

  it("is bounded by its pool when a thousand tasks want one", function()
    testing.timeout(60)
    local most, open = 0, 0
    cosockets.serving(function(conn)
      open = open + 1
      most = math.max(most, open)
      echo(conn)
      open = open - 1
    end, function(port)
      local options = { pool = "thousand", pool_size = 50, backlog = 1000 }
      moonpark.scope(function(scope)
        for i = 1, 1000 do
          scope:go(function()
            local sock = cosockets.connected(port, options, 60000)
            for j = 1, 3 do
              local line = ("line %d of %d"):format(j, i)
              assert.equal(#line + 1, sock:send { line, { "\n" } })
              assert.equal(line, sock:receive())
            end
            assert.equal(1, i % 10 == 0 and sock:close() or sock:setkeepalive())
          end)
        end
      end)
      assert.is_true(most <= 50)
      assert.equal(pool.count "thousand", pool.open "thousand")
      pool.clear()
      assert.equal(0, pool.open "thousand")
    end)
  end)

  it("works for a thousand tasks at once", function()
    testing.timeout(60)
    cosockets.serving(echo, function(port)
      moonpark.scope(function(scope)
        for i = 1, 1000 do
          scope:go(function()
            local sock = cosockets.connected(port, nil, 60000)
            local reader = sock:receiveuntil "--"
            assert(sock:send { "to ", i, "--tail\n" })
            assert.equal("to " .. i, reader())
            assert.equal("tail", sock:receive())
            assert.equal(1, sock:close())
          end)
        end
      end)
    end)
  end)
end)
