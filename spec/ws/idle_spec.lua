-- SPDX-License-Identifier: MIT
-- ws_idle: what becomes of a WebSocket while no task of ours is at it: its handler sleeps, or waits for something else.

local certificates = require "support.tls"
local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"
local wire = require "support.websocket"

local TEXT, BINARY, CLOSE, PING, PONG, FIN = wire.TEXT, wire.BINARY, wire.CLOSE, wire.PING, wire.PONG, wire.FIN
local KEY = "\18\52\171\205"

local function encrypted()
  local a, b = net.pipe()
  certificates.over(b, a, certificates.server(), certificates.client())
  certificates.shake(b, a)
  return a, b
end

local kinds = { { name = "TLS", pair = encrypted } }
for _, transport in ipairs(support.transports) do table.insert(kinds, transport) end

-- Runs body(ws, other, say): `other` is the bare other end; say(first, payload) makes a frame that it may send.
local function with(pair, is_server, options, body)
  local a, b = pair()
  if a:fd() then
    for _, conn in ipairs { a, b } do
      conn:setoption("sndbuf", 65536)
      conn:setoption("rcvbuf", 65536)
    end
  end
  local ws = wire.over(a, is_server, options)
  body(ws, b, function(first, payload) return wire.frame(first, payload or "", is_server and KEY or nil) end)
  ws:abort()
  b:close()
  core.check()
end

local function assert_frame(other, first, payload)
  local got, bytes = wire.read_frame(other)
  assert.same({ first, payload }, { got, bytes })
end

local function assert_end(other)
  local data, err = other:read()
  assert.equal(nil, data)
  assert.is_true(err == "eof" or err == "unexpected eof" or err == "connection reset by peer", err)
end

-- Until the loop has seen what was sent; what the kernel moves takes its own time.
local function wait_for(condition)
  while not condition() do moonpark.sleep(0.001) end
end

for _, kind in ipairs(kinds) do
  for _, role in ipairs { "server", "client" } do
    local is_server = role == "server"
    local function on(options, body)
      return function() with(kind.pair, is_server, options, body) end
    end

    describe(("a WebSocket without a task, at the %s's end of a %s:"):format(role, kind.name), function()
      it("pings are answered, also between fragments", on({}, function(ws, other, say)
        for i = 1, 3 do
          other:write(say(FIN + PING, "ping " .. i))
          assert_frame(other, FIN + PONG, "ping " .. i)
        end
        other:write(say(TEXT, "one "))
        local one = ""
        while one ~= "one " do one = one .. ws:receive_some() end
        other:write(say(FIN + PING, "between"))
        assert_frame(other, FIN + PONG, "between")
        other:write(say(FIN, "two"))
        assert.same({ "two", "text", true }, { ws:receive() })
      end))

      it("a ping is answered that came with a message which was received", on({}, function(ws, other, say)
        other:write(say(FIN + TEXT, "message") .. say(FIN + PING, "behind it"))
        assert.equal("message", (ws:receive()))
        assert_frame(other, FIN + PONG, "behind it")
      end))

      it("a message stays unread, and so does what is behind it", on({}, function(ws, other, say)
        other:write(say(FIN + PING, "before") .. say(FIN + TEXT, "message") .. say(FIN + PING, "behind"))
        assert_frame(other, FIN + PONG, "before")
        support.settle()
        assert.equal(0, other:buffered())
        assert.equal("message", (ws:receive()))
        assert_frame(other, FIN + PONG, "behind")
      end))

      it("the peer is slowed down by what nobody receives", on({}, function(ws, other, say)
        local messages, message = 0, say(FIN + BINARY, ("x"):rep(50000))
        local writer = support.parked(function()
          for _ = 1, 60 do assert(other:write(message)) end
        end)
        support.settle()
        assert.equal("parked", writer:status())
        for _ = 1, 60 do messages = messages + #ws:receive() end
        assert.equal(60 * 50000, messages)
        assert.is_true(writer:join())
      end))

      it("what a group has queued for it leaves once the peer reads", on({}, function(ws, other)
        local group, sent = http.group { max_queue = 1e8 }, {}
        group:add(ws)
        for i = 1, 10 do
          sent[i] = support.random_bytes(60000, i)
          assert.equal(1, group:send_binary(sent[i]))
        end
        for i = 1, 10 do
          local first, payload = wire.read_frame(other)
          assert.equal(FIN + BINARY, first)
          assert.is_true(payload == sent[i])
        end
        assert.is_true(ws:is_open())
      end))

      it("a close is answered, and is the end", on({}, function(ws, other, say)
        local group = http.group()
        group:add(ws)
        other:write(say(FIN + CLOSE, wire.code(4001, "bye")))
        assert_frame(other, FIN + CLOSE, wire.code(4001))
        if not is_server then other:close_write() end -- a client waits for its server (RFC 6455 7.1.1)
        assert_end(other)
        assert.same({ 4001, "bye" }, { ws:status() })
        assert.same({ nil, "eof" }, { ws:receive() })
        assert.same({ nil, "eof" }, { ws:send "x" })
        assert.equal(0, group:count())
      end))

      it("what breaks the rules is told its code", on({ max_controls = 5 }, function(ws, other, say)
        other:write(say(FIN + PING):rep(6))
        for _ = 1, 5 do assert_frame(other, FIN + PONG, "") end
        assert_frame(other, FIN + CLOSE, wire.code(1008))
        other:close_write()
        assert_end(other)
        assert.equal(1008, (ws:status()))
        assert.same({ nil, "malformed message" }, { ws:receive() })
      end))

      it("its peer's end is its own", on({}, function(ws, other)
        local group = http.group()
        group:add(ws)
        other:close_write()
        assert_end(other)
        wait_for(function() return ws:status() end)
        assert.equal(1006, (ws:status()))
        assert.equal(0, group:count())
        assert.same({ nil, "unexpected eof" }, { ws:receive() })
      end))

      it("a close is answered after the message that is being sent", on({}, function(ws, other, say)
        local big = support.random_bytes(600000)
        local sender = support.parked(ws.send_binary, ws, big)
        other:write(say(FIN + CLOSE, wire.code(1000)))
        wait_for(function() return ws:status() end)
        local first, got = wire.read_frame(other)
        assert.equal(FIN + BINARY, first)
        assert.is_true(got == big)
        assert_frame(other, FIN + CLOSE, wire.code(1000))
        if not is_server then other:close_write() end
        assert_end(other)
        assert.same({ true, true }, { sender:join() })
      end))

      it("a close that was said is seen through", on({}, function(ws, other, say)
        ws[1]:say_close(1001)
        assert_frame(other, FIN + CLOSE, wire.code(1001))
        other:write(say(FIN + CLOSE, wire.code(1001)))
        if not is_server then other:close_write() end
        assert_end(other)
        assert.same({ nil, "closed" }, { ws:receive() })
        assert.is_true(ws:close())
      end))
    end)
  end
end

describe("a WebSocket without a task", function()
  local pipe = support.transports[3].pair

  it("finds out by pings that the peer is gone", function()
    testing.clock()
    with(pipe, true, { ping_interval = 30, ping_timeout = 10 }, function(ws, other, say)
      local began = moonpark.now()
      assert_frame(other, FIN + PING, "")
      other:write(say(FIN + PONG, ""))
      assert_frame(other, FIN + PING, "")
      wait_for(function() return ws:status() end)
      assert.is_true(moonpark.now() - began > 60)
      assert.same({ nil, "timeout" }, { ws:receive() })
    end)
  end)

  it("does not wait for the peer's end for ever", function()
    testing.clock()
    with(pipe, false, { close_timeout = 3 }, function(ws, other, say)
      other:write(say(FIN + CLOSE, wire.code(1000)))
      assert_frame(other, FIN + CLOSE, wire.code(1000))
      local began = moonpark.now()
      assert_end(other)
      assert.is_true(moonpark.now() - began >= 3)
      assert.same({ nil, "eof" }, { ws:receive() })
    end)
  end)

  it("is closed if it is too slow for its group", function()
    local group = http.group { policy = "close", max_queue = 1000 }
    with(pipe, true, {}, function(ws, other)
      group:add(ws)
      local sent = 0
      while group:send_binary(("x"):rep(1000)) == 1 do sent = sent + 1 end
      local frames, first, payload = 0
      repeat
        first, payload = wire.read_frame(other)
        frames = frames + 1
      until first ~= FIN + BINARY
      assert.same({ FIN + CLOSE, wire.code(1008, "too slow") }, { first, payload })
      assert.is_true(frames - 1 <= sent)
      other:close_write()
      assert_end(other)
      wait_for(function() return group:count() == 0 end)
      assert.same({ nil, "no buffer space available", 105 }, { ws:receive() })
    end)
  end)

  it("holds no buffer after pings", function()
    with(support.transports[1].pair, true, {}, function(ws, other, say)
      local before
      for i = 1, 3 do
        other:write(say(FIN + PING, "ping " .. i))
        assert_frame(other, FIN + PONG, "ping " .. i)
        before = before or core.stats().blocks -- the poller has grown, if it had to
      end
      assert.equal(before, core.stats().blocks)
      assert.is_true(ws:is_open())
    end)
  end)

  it("is over when other code closes its descriptor", function()
    local ffi = require "ffi"
    local a, b = support.transports[1].pair()
    local fd = a:fd()
    local ws = wire.over(a, true)
    support.settle()
    ffi.C.close(fd)
    wait_for(function() return ws:status() end)
    assert.same({ nil, "bad file descriptor", 9 }, { ws:receive() })
    b:close()
  end)
end)
